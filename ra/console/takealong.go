package console

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
)

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(v) // the client is gone: nobody is left to tell
}

// writeCSV sends a table as a file. What clients wrote is in it.
func writeCSV(w http.ResponseWriter, name string, table [][]string) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	for _, record := range table {
		for i := range record {
			record[i] = noFormula(record[i])
		}
	}
	_ = csv.NewWriter(w).WriteAll(table) // as above
}

// noFormula keeps a spreadsheet from running what a client wrote.
func noFormula(s string) string {
	if s != "" && strings.ContainsAny(s[:1], "=+-@\t\r") {
		return "'" + s
	}
	return s
}

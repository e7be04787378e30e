package sim

import (
	"bytes"
	"fmt"

	"ciscora/ra/ledger"
)

// deliveredWasRead: a row says "delivered" only where a client has read the
// certificate in it; and where no kill and no broken ledger hid it, all that were
// read say so.
func deliveredWasRead(h *History) []string {
	var bad []string
	read := func(row ledger.Row) bool {
		for _, asks := range h.Asks {
			for _, ask := range asks {
				if ask.Read && bytes.Equal(ask.Certificate.Raw, row.Certificate) {
					return true
				}
			}
		}
		return false
	}
	for _, row := range h.Rows {
		got := read(row)
		switch told := row.State == ledger.StateDelivered || row.Deliveries > 0; {
		case told && !got:
			bad = append(bad, fmt.Sprintf("row %d (%s) is delivered, and nobody has read it", row.ID, row.CN))
		case got && !told && h.Kills == 0:
			bad = append(bad, fmt.Sprintf("row %d (%s) was read by its client, and is %s", row.ID, row.CN, row.State))
		}
	}
	return bad
}

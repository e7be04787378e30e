package scenario

// NotIn returns the lines that a card does not expect of a log, in their order.
func NotIn(c Card, log string, lines []string) []string {
	wanted, err := compile(c.Expect.Logs.all()[log])
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	bound := map[string]string{}
	next := 0
	for _, line := range lines {
		at := next
		for at < len(wanted) && (wanted[at].any || !wanted[at].fits(line, bound)) {
			at++
		}
		if at == len(wanted) {
			missing = append(missing, line)
			continue
		}
		next = at + 1
	}
	return missing
}

// Match compares a log's lines with expected ones.
func Match(want string, got ...string) []Check {
	return match("log", want, got, map[string]string{})
}

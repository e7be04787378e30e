package console

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// Verdict is what the logs of an enrollment say of what failed.
type Verdict struct {
	Name  string `json:"name,omitempty"` // of the failure, and of its card where Play is set
	Title string `json:"title"`
	// Headline is the title, or whether it is that; "" = the title.
	Headline string `json:"headline,omitempty"`
	Sure     string `json:"sure"`
	Why      string `json:"why,omitempty"`
	Cause    string `json:"cause,omitempty"`
	Fix      string `json:"fix,omitempty"`
	Play     bool   `json:"-"` // there is a card that plays it, and it is likely that one
}

const explainTime = 5 * time.Second

// explain asks for the cause, where lines of logs were recorded and something is wrong.
func (c *console) explain(ctx context.Context, s *story) (v Verdict) {
	if c.Lab == nil || c.Lab.Explain == nil || s.Detail == nil || s.Error == "" || !s.Finished {
		return v
	}
	limited, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	logs := s.Detail.texts()
	if len(s.Detail.own) > 0 {
		logs["ra"] = s.Detail.own
	}
	v, err := c.Lab.Explain(limited, logs)
	if err != nil {
		if ctx.Err() != nil {
			return Verdict{} // nobody looks any more
		}
		c.Logger.Error("console: the cause cannot be looked for", zap.Error(err))
		return Verdict{}
	}
	return v
}

// acts is what a reader of an enrollment's page can do, in a lab.
type acts struct {
	Card    string // that plays the same failure; "" = none
	Enroll  bool
	Capture bool
	Faults  int // that are on
}

func (c *console) acts(s *story) (a acts) {
	if c.Lab == nil {
		return a
	}
	a.Enroll, a.Capture = c.Lab.Enroll != nil, c.Lab.Capture != nil && s.Detail != nil
	if c.Lab.Faults != nil {
		a.Faults = len(c.Lab.Faults.List())
	}
	if c.Lab.Cards != nil && s.Verdict.Play {
		a.Card = s.Verdict.Name
	}
	return a
}

package server

import (
	"encoding/asn1"
	"strconv"

	"ciscora/config"
	"ciscora/internal/pattern"
	"ciscora/ra/policy"
)

// compilePolicies makes the CSR policies of a configuration; what cannot be
// compiled is named by its key.
func compilePolicies(cfg *config.RA) (map[string]policy.Policy, error) {
	policies := map[string]policy.Policy{}
	for name, from := range cfg.EST.Policies {
		key := "est.policies." + name
		p := policy.Policy{Keys: from.Keys, Ambiguous: from.Ambiguous}
		groups := 0
		if from.Identity != "" {
			identity, err := pattern.Whole(from.Identity)
			if err != nil {
				return nil, cfg.Problem(key+".identity", err)
			}
			p.Identity, groups = identity, identity.NumSubexp()
		}
		for _, list := range []struct {
			key      string
			patterns []string
			into     *[]*pattern.Pattern
		}{{key + ".subject", from.Subject, &p.Subject}, {key + ".san", from.SAN, &p.SAN}} {
			for i, text := range list.patterns {
				compiled, err := pattern.Compile(text, groups)
				if err != nil {
					return nil, cfg.Problem(list.key+"["+strconv.Itoa(i)+"]", err)
				}
				*list.into = append(*list.into, compiled)
			}
		}
		for _, list := range []struct {
			key  string
			oids []string
			into *[]asn1.ObjectIdentifier
		}{{key + ".forbid", from.Forbid, &p.Forbid}, {key + ".allow", from.Allow, &p.Allow}} {
			for i, text := range list.oids {
				oid, err := policy.ParseOID(text)
				if err != nil {
					return nil, cfg.Problem(list.key+"["+strconv.Itoa(i)+"]", err)
				}
				*list.into = append(*list.into, oid)
			}
		}
		policies[name] = p
	}
	return policies, nil
}

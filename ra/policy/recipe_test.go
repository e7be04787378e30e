package policy_test

import (
	"encoding/asn1"

	"ciscora/internal/x501"
)

// recipes are what CSRs are made by in the fuzz tests: see cook.
var recipes = []string{
	"\x00\x00\x00SEP001122334455",
	"\x00\x00\x00Administrator\xff\x00\x00\x00SEP001122334455",
	"\x00\x06\x00Administrator",
	"\x01\x05\x01example\xff\x00\x00\x00dc",
	"\x00\x03\x00M\xfcller\xff\x02\x00\x00Org",
	"\x00\x07\x00\x00\x00\x00d\x00\x00\x00c",
	"\x00\x08\x00\x00d\x00c",
	"\x00\x00\x00x\xff\x10\x00\x00a.test\xff\x11\x00\x00b.test",
	"\x00\x00\x00x\xff\x11\x01\x00dc.test\xff\x11\x02\x00a@b",
	"\x00\x00\x00x\xff\x12\x00\x00administrator@lab.test",
	"\x00\x00\x00x\xff\x13\x00\x00S-1-5",
	"\x00\x00\x00x\xff\x14\x00\x00password",
	"\x00\x00\x00x\xff\x15\x00\x00unknown",
	"\x00\x00\x00x\xff\x16\x00\x00many",
	"\x00\x00\x00x\xff\x10\x03\x00\x00\x01\x02\x03\xff\x10\x04\x00dir",
	"\x00\x00\x01a\xff\x02\x00\x01b\xff\x03\x04\x01c",
	"\x04\x00\x00,O=x\xff\x00\x00\x00#a ",
	"",
}

// cook makes a CSR of a recipe: steps between bytes 0xff, each of which says what it adds
// (a first byte), how (two more), and with which text. It makes attributes of all string
// types, RDNs of several, names of all kinds in either attribute, twice and more.
func cook(recipe string) der {
	types := []asn1.ObjectIdentifier{
		oidCN,
		{0, 9, 2342, 19200300, 100, 1, 25},
		oidO,
		{2, 5, 4, 11},
		{2, 5, 4, 6},
		{1, 2, 840, 113549, 1, 9, 1},
	}
	kinds := []x501.StringType{
		x501.UTF8String, x501.PrintableString, x501.IA5String, x501.T61String, x501.NumericString,
		x501.IA5String, x501.VisibleString, x501.UniversalString, x501.BMPString, 4,
	}
	var rdns []der
	var rdn, attributes, pkcs9, microsoft []der
	steps := splitSteps(recipe)
	for _, step := range steps {
		what, how, more, text := step[0], step[1], step[2], step[3:]
		general := func() der {
			switch how % 7 {
			case 1:
				return uri("https://" + text)
			case 2:
				return element(tagged(1), der(text))
			case 3:
				return element(tagged(7), der(text))
			case 4:
				return element(tagged(4).Constructed(), sequence(cn(text)))
			case 5:
				return element(tagged(8), der(text))
			case 6:
				return element(tagged(5).Constructed(), der(text))
			}
			return dns(text)
		}
		switch what {
		case 0x10:
			pkcs9 = append(pkcs9, names(general()))
		case 0x11:
			microsoft = append(microsoft, names(general()))
		case 0x12:
			pkcs9 = append(pkcs9, names(upn(text)))
		case 0x13:
			microsoft = append(microsoft, extension(oidSID, value(x501.UTF8String, text)))
		case 0x14:
			attributes = append(attributes, sequence(oid(oidChallengePassword), set(value(kinds[int(how)%len(kinds)], text))))
		case 0x15:
			attributes = append(attributes, sequence(oid(asn1.ObjectIdentifier{1, 3, 6, int(how)}), set(value(x501.UTF8String, text))))
		case 0x16:
			microsoft = append(microsoft, manyNames(10_000))
		case 0x17:
			attributes = append(attributes, der(text))
		default:
			rdn = append(rdn, attribute(types[int(what)%len(types)], value(kinds[int(how)%len(kinds)], text)))
			if more%2 == 0 {
				rdns, rdn = append(rdns, set(rdn...)), nil
			}
		}
	}
	if len(rdn) > 0 {
		rdns = append(rdns, set(rdn...))
	}
	if len(pkcs9) > 0 {
		attributes = append(attributes, asks(oidExtensionRequest, pkcs9...))
	}
	if len(microsoft) > 0 {
		attributes = append(attributes, asks(oidMicrosoftExtensions, microsoft...))
	}
	return request(rdns, attributes...)
}

func splitSteps(recipe string) (steps []string) {
	const most = 50
	for from := 0; from+3 <= len(recipe) && len(steps) < most; {
		end := from + 3
		for end < len(recipe) && recipe[end] != 0xff {
			end++
		}
		steps = append(steps, recipe[from:end])
		from = end + 1
	}
	return steps
}

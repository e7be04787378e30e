package endpoint

// PhoneConfig lets the tests read a phone's configuration.
func PhoneConfig(data []byte) (urls int, hashes [][]byte, err error) {
	c, err := parsePhoneConfig(data)
	return len(c.URLs), c.Hashes, err
}

package config

var (
	ParseRA          = parseRA
	ParseCertsrv     = parseCertsrv
	ParseCredentials = parseCredentials
)

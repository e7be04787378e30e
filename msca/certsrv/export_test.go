package certsrv

func PEMForTest(t *TestServer) []byte { return encodeCertificate(t.Server.Root()) }

package tracelog

import (
	"fmt"
	"io"
)

// CAPF writes the trace of CUCM's CAPF service at its detailed level
// (docs/reference/ces.md, "Four logs, four formats"). A function's lines stand
// between `|-->NAME` and `|<--NAME`; most come from one that is called debug.
type CAPF struct {
	sink *sink
	opts Options
}

// NewCAPF writes to w. The trace has times without a date.
func NewCAPF(w io.Writer, opts Options) *CAPF { return &CAPF{sink: &sink{w: w}, opts: opts} }

// Err is the error of the last write; nil when it succeeded.
func (c *CAPF) Err() error { return c.sink.lastErr() }

// Device is the phone that a line tells of: `2:SEP74A02FC0A675`.
type Device struct {
	Index int64 // CAPF's number for the phone's connection
	Name  string
}

func (d Device) prefix() string { return fmt.Sprintf("%d:%s:", d.Index, clean(d.Name)) }

func (d Device) selection() string { return "Select(" + clean(d.Name) + ")" }

func (d Device) csrFile() string  { return "/tmp/capf/csr/" + clean(d.Name) + ".csr" }
func (d Device) certFile() string { return "/tmp/capf/cert/" + clean(d.Name) + ".der" }

// ServiceStarted says which Online CA CAPF's service parameters name, and that
// CES is being started with them.
func (c *CAPF) ServiceStarted(host string, port int, template string) {
	const function, name = "CServiceParameters::Init()", "CServiceParameters::OnlineCAInit()"
	c.sink.put(
		c.inside(function, "Certificate Generation Method=OnlineCA:4"),
		c.inside(function, "TAM password already exists, no need to create."),
		c.enter(name),
		c.inside(name, "Online CA hostname is "+clean(host)),
		c.inside(name, fmt.Sprintf("Online CA Port : %d", port)),
		c.inside(name, "Online CA Template is "+clean(template)),
		c.inside(name, "nginx.conf Updated and Credential.txt file is created"),
		c.inside(name, "Reading CAPF Service Parameters done"),
		c.leave(name),
		c.inside(function, "OnlineCA Initialized"),
		c.inside(function, "Cisco RA Service Start Initiated. Please check NGINX logs for further details"))
}

// ESTClientReady says that the EST client has its trust anchors, cacertLength
// bytes of PEM, its credentials and its server.
func (c *CAPF) ESTClientReady(cacertLength int) {
	c.debug(
		"CA Type is Online CA, setting up EST Connection",
		"Inside setUpESTClient",
		fmt.Sprintf("cacert read success. cacert length : %d", cacertLength),
		"EST context ectx initialized",
		"CA Credentials retrieved",
		"est_client_set_auth() Successful!!",
		"EST set server details success!!")
}

// EnrollmentStarted says that the phone's CSR is there and is to be signed.
func (c *CAPF) EnrollmentStarted(d Device) {
	c.deviceDebug(d,
		"CA Mode is OnlineCA, Initiating Automatic Certificate Enrollment",
		"Calling enrollCertUsingEST() csr_file="+d.csrFile())
}

// CSRRead says that the CSR was read.
func (c *CAPF) CSRRead(d Device) {
	c.deviceDebug(d, "Inside X509_REQ *read_csr()", "Completed action in X509_REQ *read_csr()")
}

// EnrollmentFinished says what libest returned: its number and name (35,
// EST_ERR_SSL_READ), and the length of the PKCS#7 in bytes, 0 without one.
func (c *CAPF) EnrollmentFinished(d Device, rv int, name string, pkcs7Length int) {
	c.deviceDebug(d, fmt.Sprintf("Enrollment rv = %d (%s) with pkcs7 length = %d", rv, clean(name), pkcs7Length))
}

// CertificateWritten says that the PKCS#7 was written and is converted to PEM,
// and that to DER.
func (c *CAPF) CertificateWritten(d Device) {
	c.deviceDebug(d,
		"Signed Cert written to /tmp/capf/cert/ location...",
		"Inside write_binary_file()",
		"Completed action in write_binary_file()",
		"Converting PKCS7 file to PEM format and PEM to DER")
}

// SigningSucceeded ends a good enrollment.
func (c *CAPF) SigningSucceeded(d Device) {
	lines := c.frames(d.prefix(), []string{"Return value from enrollCertUsingEST() : 0", "Online Cert Signing successful"})
	c.sink.put(append(lines,
		c.enter("findAndPost"),
		c.inside("findAndPost", "Device found in the cache map "+clean(d.Name)),
		c.leave("findAndPost"))...)
}

// SigningFailed ends an enrollment for which libest returned rv.
func (c *CAPF) SigningFailed(d Device, rv int) {
	c.deviceDebug(d,
		"est_client_enroll_csr() Failed! Could not obtain new certificate. Aborting.",
		fmt.Sprintf("Return value from enrollCertUsingEST() : %d", rv),
		"Online Cert Signing Failed")
}

// AddedToReadSet says that CAPF goes back to waiting for the phones; fd is the
// socket's number. (`addded` is CAPF's spelling.)
func (c *CAPF) AddedToReadSet(fd int) { c.debug(fmt.Sprintf("addded %d to readset", fd)) }

// CertificateDelivered says that the phone is sent its certificate and the CSR
// is removed.
func (c *CAPF) CertificateDelivered(d Device) {
	device := func(text string) string { return d.prefix() + text }
	c.debug(
		"Recd event",
		device("CA CERT RES certificate ready ."),
		device("CAPF CORE: Rcvd Event: CAPF_EV_CA_CERT_REP in State: CAPF_STATE_AWAIT_CA_CERT_RESP"),
		device("CAPF got device certificate"),
		"loadFile('"+d.certFile()+"')",
		"loadFile() successfully loaded file: '"+d.certFile()+"'",
		device("Read certificate for device"),
		"LSC is verified. removing CSR at "+d.csrFile(),
		device("Sending STORE_CERT_REQ msg"))
}

// OperationSucceeded says that the phone stored its certificate and that CUCM's
// database knows. It begins inside a Select, whose first lines Cisco's document leaves
// out: they are inferred.
func (c *CAPF) OperationSucceeded(d Device) {
	const status = "SetOperationStatus(Success:CAPF_OP_SUCCESS):0"
	const mapping = "CAPFDevice::MapCapf_OpStatusToDBLTypeCertificateStatus(OPERATION_UPGRADE, Suc"
	c.sink.put(
		c.enter(d.selection()),
		c.inside(d.selection(), "device exists"),
		c.leave(d.selection()),
		c.enter(status),
		c.inside(status, "Operation status Value is '0'"),
		c.enter(mapping),
		c.inside(mapping, "=>DbStatus=CERT_STATUS_UPGRADE_SUCCESS"),
		c.leave(mapping),
		c.inside(status, "Operation status is set to 1"),
		c.inside(status, "Operation status is set to Success:CAPF_OP_SUCCESS"),
		c.inside(status, "sql query - (UPDATE Device SET tkCertificateOperation=1, tkcertificatestatus='3'"+
			" WHERE my_lower(name)=my_lower('"+clean(d.Name)+"'))"),
		c.leave(status))
}

// SessionEnded says that the phone has its certificate and ended the session.
func (c *CAPF) SessionEnded() { c.debug("MsgType : CAPF_MSG_END_SESSION") }

func (c *CAPF) debug(texts ...string) { c.sink.put(c.frames("", texts)...) }

func (c *CAPF) deviceDebug(d Device, texts ...string) { c.sink.put(c.frames(d.prefix(), texts)...) }

// frames puts each text, behind prefix, into a frame of its own.
func (c *CAPF) frames(prefix string, texts []string) []string {
	lines := make([]string, 0, 3*len(texts))
	for _, text := range texts {
		lines = append(lines, c.enter("debug"), c.inside("debug", prefix+text), c.leave("debug"))
	}
	return lines
}

func (c *CAPF) enter(function string) string { return c.time() + " |-->" + function }
func (c *CAPF) leave(function string) string { return c.time() + " |<--" + function }

func (c *CAPF) inside(function, text string) string {
	return c.time() + " | " + function + " " + text
}

func (c *CAPF) time() string { return c.opts.now().Format("15:04:05.000") }

package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"ciscora/ra/wire"
)

// ErrGone says that nothing is kept any more of an enrollment's connections.
var ErrGone = errors.New("nothing is kept any more of its connections")

// PCAPNG writes the connections as packets, with the secrets of their TLS in front
// (pcapng's Decryption Secrets Block). The TCP around the bytes is made up: what was
// kept are the bytes, their times and their order. comment stands in the file's header.
func (c *Capture) PCAPNG(w io.Writer, used []wire.Connection, comment string) error {
	c.mu.Lock()
	var packets []packet
	var secrets []byte
	for _, k := range c.of(used) {
		packets = append(packets, k.packets()...)
		for _, line := range c.secrets[k.random()] {
			secrets = append(secrets, line...)
		}
	}
	c.mu.Unlock()
	if len(packets) == 0 {
		return ErrGone
	}
	slices.SortStableFunc(packets, func(a, b packet) int { return a.at.Compare(b.at) })

	options := pcapgo.DefaultNgWriterOptions
	options.SectionInfo = pcapgo.NgSectionInfo{Application: "ra lab", Comment: comment}
	ng, err := pcapgo.NewNgWriterInterface(w, pcapgo.NgInterface{Name: "lab", LinkType: layers.LinkTypeRaw, SnapLength: 0}, options)
	if err != nil {
		return fmt.Errorf("pcapng: %w", err)
	}
	if len(secrets) > 0 {
		if err := ng.WriteDecryptionSecretsBlock(pcapgo.DSB_SECRETS_TYPE_TLS, secrets); err != nil {
			return fmt.Errorf("pcapng: %w", err)
		}
	}
	for _, p := range packets {
		info := gopacket.CaptureInfo{Timestamp: p.at, CaptureLength: len(p.data), Length: len(p.data)}
		var about pcapgo.NgPacketOptions
		if p.comment != "" {
			about.Comments = []string{p.comment}
		}
		if err := ng.WritePacketWithOptions(info, p.data, about); err != nil {
			return fmt.Errorf("pcapng: %w", err)
		}
	}
	return ng.Flush()
}

type packet struct {
	at      time.Time
	data    []byte
	comment string // Wireshark shows it
}

// end is one end of a TCP connection.
type end struct {
	addr netip.AddrPort
	seq  uint32
}

// The flags of RFC 9293 §3.1.
const (
	tcpFIN = 1 << iota
	tcpSYN
	tcpRST
	tcpPSH
	tcpACK
)

// maxSegment keeps a packet below what its length can say.
const maxSegment = 16 << 10

// packets are a connection's. The capture's mu is held.
func (k *connection) packets() (all []packet) {
	us, them := &end{addr: addressOf(k.LocalAddr()), seq: 1000}, &end{addr: addressOf(k.RemoteAddr()), seq: 5000}
	send := func(at time.Time, from, to *end, flags byte, payload []byte) {
		all = append(all, packet{at: at, data: segment(from, to, flags, payload)})
		from.seq += uint32(len(payload))
		if flags&(tcpSYN|tcpFIN) != 0 {
			from.seq++
		}
	}
	client, server := us, them
	if !k.client {
		client, server = them, us
	}
	send(k.opened, client, server, tcpSYN, nil)
	send(k.opened, server, client, tcpSYN|tcpACK, nil)
	send(k.opened, client, server, tcpACK, nil)
	for _, e := range k.events {
		from, to := them, us
		if e.ours {
			from, to = us, them
		}
		switch e.kind {
		case data:
			for part := range slices.Chunk(e.data, maxSegment) {
				send(e.at, from, to, tcpPSH|tcpACK, part)
			}
		case fin:
			send(e.at, from, to, tcpFIN|tcpACK, nil)
			send(e.at, to, from, tcpACK, nil)
		case reset:
			send(e.at, from, to, tcpRST|tcpACK, nil)
		case cut:
			all[len(all)-1].comment = "more went over this connection than is kept of it"
		}
	}
	return all
}

// addressOf is an address as IP has it. What is no such address, a pipe's, gets one that
// stands for it.
func addressOf(a net.Addr) netip.AddrPort {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(a.String()))
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 1}), uint16(1024+h.Sum32()%60000))
}

// segment is an IP packet with a TCP segment in it.
func segment(from, to *end, flags byte, payload []byte) []byte {
	tcp := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(tcp, from.addr.Port())
	binary.BigEndian.PutUint16(tcp[2:], to.addr.Port())
	binary.BigEndian.PutUint32(tcp[4:], from.seq)
	if flags&tcpACK != 0 {
		binary.BigEndian.PutUint32(tcp[8:], to.seq)
	}
	tcp[12], tcp[13] = 5<<4, flags
	binary.BigEndian.PutUint16(tcp[14:], 65535) // window
	tcp = append(tcp, payload...)

	source, target := from.addr.Addr(), to.addr.Addr()
	four := source.Is4() && target.Is4()
	var header, pseudo bytes.Buffer
	if four {
		a, b := source.As4(), target.As4()
		header.Write([]byte{0x45, 0})
		_ = binary.Write(&header, binary.BigEndian, uint16(20+len(tcp)))
		header.Write([]byte{0, 0, 0x40, 0, 64, 6, 0, 0})
		header.Write(append(a[:], b[:]...))
		pseudo.Write(append(a[:], b[:]...))
		pseudo.Write([]byte{0, 6})
		_ = binary.Write(&pseudo, binary.BigEndian, uint16(len(tcp)))
	} else {
		a, b := source.As16(), target.As16()
		header.Write([]byte{0x60, 0, 0, 0})
		_ = binary.Write(&header, binary.BigEndian, uint16(len(tcp)))
		header.Write([]byte{6, 64})
		header.Write(append(a[:], b[:]...))
		pseudo.Write(append(a[:], b[:]...))
		_ = binary.Write(&pseudo, binary.BigEndian, uint32(len(tcp)))
		pseudo.Write([]byte{0, 0, 0, 6})
	}
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(pseudo.Bytes(), tcp...)))
	ip := header.Bytes()
	if four {
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	}
	return append(ip, tcp...)
}

// checksum is RFC 1071's.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

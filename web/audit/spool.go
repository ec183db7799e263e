package audit

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
)

// The spool is one file that takes records while the store can't: fsynced, append-only between two merges, and with room
// set aside beforehand, so that it works on the disk that the store has just filled. (A copy-on-write file system can't
// promise that; put the spool on another disk there.)
//
//	header  magic 16 · generation 8 · CRC-32C of both 4
//	frame   generation 8 · length 4 · CRC-32C of length and payload 4 · payload: batch 16, record as JSON
//
// Numbers are little-endian. Emptying it is one write, of a header with a new generation: older frames then belong to
// another, and what is there of them ends the spool as an untouched byte does.
const (
	spoolMagic   = "offrecord spool\x01"
	spoolHeader  = 28
	frameHeader  = 16
	batchSize    = 16
	spoolReserve = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spooled is one record in the spool: the batch that it was first tried in, and its stored form without a place.
type spooled struct {
	batch string // hex
	line  line
}

// spoolScan is what reading a spool found.
type spoolScan struct {
	generation [8]byte
	entries    int64
	end        int64 // just after the last good frame
	bad        int   // frames that were torn or changed
}

// scanSpool reads a spool and calls each, in order, for every good frame. A frame that a kill has torn, or that was changed
// since, is counted and passed over. Only a reader's error, each's, or a file that is no spool is an error.
func scanSpool(r io.Reader, each func(spooled) error) (s spoolScan, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	var head [spoolHeader]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return s, fmt.Errorf("the spool's header: %w", err)
	}
	if string(head[:16]) != spoolMagic || crc32.Checksum(head[:24], castagnoli) != binary.LittleEndian.Uint32(head[24:]) {
		return s, errNoSpool
	}
	copy(s.generation[:], head[16:24])
	s.end = spoolHeader
	payload := make([]byte, 0, 1024)
	for at := s.end; ; {
		var fh [frameHeader]byte
		if _, err := io.ReadFull(br, fh[:]); err != nil {
			return s, notEOF(err)
		}
		if [8]byte(fh[:8]) != s.generation {
			return s, nil
		}
		n := binary.LittleEndian.Uint32(fh[8:])
		if n < batchSize || n > batchSize+maxBody {
			s.bad++
			return s, nil
		}
		payload = append(payload[:0], make([]byte, n)...)
		if _, err := io.ReadFull(br, payload); err != nil {
			s.bad++
			return s, notEOF(err)
		}
		at += frameHeader + int64(n)
		l, err := decodeLine(payload[batchSize:])
		if err != nil || l.Seq != 0 || frameSum(fh[8:12], payload) != binary.LittleEndian.Uint32(fh[12:]) {
			s.bad++
			continue
		}
		if err := each(spooled{hex.EncodeToString(payload[:batchSize]), l}); err != nil {
			return s, err
		}
		s.entries++
		s.end = at
	}
}

var errNoSpool = errors.New("it isn't a spool, or its header was damaged")

func notEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return fmt.Errorf("reading the spool: %w", err)
}

func frameSum(length, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, payload)
}

// spool is the open file. It belongs to the log's writer.
type spool struct {
	f *os.File
	spoolScan
	unsure bool // the header may not be on the disk as it is here
	lost   bool // an unreadable file was set aside
}

// openSpool opens the spool, or makes it with room for reserve bytes. An unreadable one is kept beside it, named .bad.
func openSpool(path string, reserve int64) (*spool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return makeSpool(path, reserve)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	s := &spool{f: f}
	s.spoolScan, err = scanSpool(f, func(spooled) error { return nil })
	if err == nil {
		return s, nil
	}
	f.Close()
	if !errors.Is(err, errNoSpool) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if err := os.Rename(path, path+".bad"); err != nil {
		return nil, fmt.Errorf("setting an unreadable spool aside: %w", err)
	}
	s, err = makeSpool(path, reserve)
	if err == nil {
		s.lost = true
	}
	return s, err
}

// makeSpool prepares the file under another name first: a spool that exists is a whole one.
func makeSpool(path string, reserve int64) (*spool, error) {
	s := &spool{}
	tmp := path + ".new"
	s.renew()
	if err := writeSynced(tmp, append(s.header(), make([]byte, reserve)...)); err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	if err := syncDir(path); err != nil {
		return nil, fmt.Errorf("making the spool: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	s.f, s.unsure = f, false
	return s, nil
}

// renew begins a generation, whose header isn't on the disk yet.
func (s *spool) renew() {
	s.spoolScan, s.unsure = spoolScan{end: spoolHeader}, true
	rand.Read(s.generation[:])
}

func (s *spool) header() []byte {
	head := append([]byte(spoolMagic), s.generation[:]...)
	return binary.LittleEndian.AppendUint32(head, crc32.Checksum(head, castagnoli))
}

func (s *spool) id() string { return hex.EncodeToString(s.generation[:]) }

// append writes a batch of records and returns once they are on the disk. After an error nothing of the batch counts.
func (s *spool) append(batch string, lines []line) error {
	id, err := hex.DecodeString(batch)
	if err != nil || len(id) != batchSize {
		return fmt.Errorf("batch %q: not 16 bytes in hex", batch)
	}
	var b []byte
	for _, l := range lines {
		body, err := l.encode()
		if err != nil {
			return fmt.Errorf("spooling a record: %w", err)
		}
		payload := append(bytes.Clone(id), body...)
		length := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
		b = append(append(b, s.generation[:]...), length...)
		b = append(binary.LittleEndian.AppendUint32(b, frameSum(length, payload)), payload...)
	}
	end := int64(len(b))
	// Whatever an earlier failed write left behind must not follow as if it were ours.
	b = append(b, make([]byte, frameHeader)...)
	if err := s.write(b); err != nil {
		s.f.WriteAt(make([]byte, frameHeader), s.end) // nothing of it counts, as far as the disk still obeys
		return fmt.Errorf("writing the spool: %w", err)
	}
	s.end += end
	s.entries += int64(len(lines))
	return nil
}

// write puts frames on the disk, and with them a header that isn't there for certain.
func (s *spool) write(frames []byte) error {
	if s.unsure {
		if _, err := s.f.WriteAt(s.header(), 0); err != nil {
			return err
		}
	}
	if _, err := s.f.WriteAt(frames, s.end); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		s.unsure = true
		return err
	}
	s.unsure = false
	return nil
}

// read calls each for every record in the spool, in order.
func (s *spool) read(each func(spooled) error) error {
	_, err := scanSpool(io.NewSectionReader(s.f, 0, s.end), each)
	return err
}

// empty forgets all records: they are in the store, which also knows how many of this generation it has merged, so that
// nothing is lost or doubled if this fails half-way.
func (s *spool) empty() error {
	used := s.end - spoolHeader
	s.renew()
	if err := s.write(nil); err != nil {
		return fmt.Errorf("emptying the spool: %w", err)
	}
	// The old bytes mean nothing now. They are wiped, if that can be done, so that they don't outlive the log's retention.
	if info, err := s.f.Stat(); err == nil && info.Size() > 2*spoolReserve && s.f.Truncate(spoolReserve) == nil {
		used = min(used, spoolReserve-spoolHeader)
	}
	s.f.WriteAt(make([]byte, used), spoolHeader)
	return nil
}

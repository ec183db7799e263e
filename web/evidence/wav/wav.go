// Package wav reads call recordings as contact centers make them: RIFF WAVE with 8, 16, 24 or 32 bit PCM, µ-law or A-law, as a
// stream, in constant memory, and says what was wrong with a file instead of guessing what it may have held.
//
// It walks the chunks itself. The libraries that were looked at can't: youpy/go-wav and its go-riff want an io.ReaderAt, look
// for all chunks before the first sample, and take the sizes 0 and 0xFFFFFFFF that streamed files have for the truth (an odd
// size overflows to 0); go-audio/wav wants an io.ReadSeeker. The G.711 tables are zaf/g711's.
//
// It knows nothing of speech or silence, and decodes nothing that it doesn't name.
package wav

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/zaf/g711"
)

// Codec is how a sample is written.
type Codec uint16

// The codecs, by their number in WAVEFORMATEX (Microsoft mmreg.h; RFC 2361).
const (
	PCM   Codec = 0x0001
	ALaw  Codec = 0x0006 // ITU-T G.711
	MuLaw Codec = 0x0007 // ITU-T G.711

	extensible Codec = 0xFFFE
)

// others are codecs that are met and not read, so that a person is told which.
var others = map[Codec]string{0x0002: "Microsoft ADPCM", 0x0003: "IEEE float", 0x0011: "IMA ADPCM", 0x0031: "GSM 6.10", 0x0040: "G.721 ADPCM",
	0x0050: "MPEG", 0x0055: "MP3", 0x0083: "G.729", 0x0161: "Windows Media Audio", 0x00FF: "AAC", 0x1610: "AAC"}

// String names the codec for a person.
func (c Codec) String() string {
	switch c {
	case PCM:
		return "PCM"
	case ALaw:
		return "A-law"
	case MuLaw:
		return "µ-law"
	}
	if name, ok := others[c]; ok {
		return name
	}
	return fmt.Sprintf("codec 0x%04X", uint16(c))
}

// Format is what a file's samples are.
type Format struct {
	Codec    Codec
	Channels int
	Rate     int // frames a second
	Bits     int // of a sample as it is stored
}

// Align is the bytes of one frame: a sample of each channel.
func (f Format) Align() int { return f.Channels * f.Bits / 8 }

// String is for a person, such as "µ-law, 8 kHz, 2 channels".
func (f Format) String() string {
	name := f.Codec.String()
	if f.Codec == PCM {
		name = fmt.Sprintf("PCM %d bit", f.Bits)
	}
	channels := "mono"
	if f.Channels > 1 {
		channels = fmt.Sprintf("%d channels", f.Channels)
	}
	return fmt.Sprintf("%s, %g kHz, %s", name, float64(f.Rate)/1000, channels)
}

// Damage is something wrong with a file beyond which nothing was read.
type Damage string

// The damages.
const (
	Truncated Damage = "truncated" // it ends before its own header says
	Torn      Damage = "torn"      // it ends within a frame
	Trailing  Damage = "trailing"  // what follows the samples is no chunk: the header may be older than the file
	Again     Damage = "again"     // there is a second chunk of samples, which wasn't read
)

// String is a clause for a person.
func (d Damage) String() string {
	switch d {
	case Truncated:
		return "the file ends before its own header says"
	case Torn:
		return "the file ends in the middle of a sample"
	case Trailing:
		return "bytes follow the sound that its header doesn't explain, and weren't read"
	case Again:
		return "there is a second stretch of sound in the file, which wasn't read"
	}
	return string(d)
}

// ErrNotWAV is a file that doesn't begin as a WAVE file does.
var ErrNotWAV = errors.New("this isn't a WAV file")

// UnsupportedError is a file that is in order and of a kind that isn't read here.
type UnsupportedError struct{ What string }

// Error implements error.
func (e UnsupportedError) Error() string { return "recordings of this kind aren't read: " + e.What }

// DamagedError is a file that is damaged before its sound, so that nothing of it can be read.
type DamagedError struct{ What string }

// Error implements error.
func (e DamagedError) Error() string { return "the file is damaged: " + e.What }

// blockBytes is about what is read at a time; headBytes is less, so that blocks are read past that buffer.
const (
	blockBytes = 128 << 10
	headBytes  = 4 << 10
)

// Reader decodes one file from its beginning to its end.
type Reader struct {
	from   source
	in     *bufio.Reader
	format Format
	at     int64 // how far the chunks were walked
	offset int64 // of the first sample in the file

	size, left int64 // bytes of samples that the header promises, and that are still to come; meaningless if open
	open       bool  // the header doesn't say how many there are
	frames     int64
	damage     []Damage
	ended      bool

	// What is read lies in memory as samples of 16 bits do, because most recordings have them: those are handed out as they are.
	wide    []int16
	raw     []byte
	samples []int16
	table   *[256]int16
}

// source remembers how a stream ended: a body that is shorter than announced breaks off with the error that io.ReadFull has for
// one that simply ends.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// unknownSize is from where on a size is the mark of a program that couldn't know it: 0xFFFFFFFF of ffmpeg and sox on a pipe,
// and the round numbers below it of others.
const unknownSize = 0x7FFF0000

// NewReader reads up to the first sample. The errors are ErrNotWAV, UnsupportedError, DamagedError, and what the reader says.
func NewReader(r io.Reader) (*Reader, error) {
	w := &Reader{from: source{r: r}}
	w.in = bufio.NewReaderSize(&w.from, headBytes)
	var head [12]byte
	if err := w.full(head[:]); err != nil {
		if w.from.err == io.EOF {
			return nil, ErrNotWAV
		}
		return nil, broken(err)
	}
	form := string(head[:4])
	if form != "RIFF" && form != "RF64" && form != "BW64" || string(head[8:]) != "WAVE" {
		return nil, ErrNotWAV
	}
	long := int64(-1) // an RF64 file's size of its samples (EBU Tech 3306)
	for {
		id, size, err := w.chunk()
		if err != nil {
			return nil, w.beforeSound(err)
		}
		switch id {
		case "data":
			if w.format == (Format{}) {
				return nil, DamagedError{"its sound comes before its format"}
			}
			w.begin(int64(size), long)
			return w, nil
		case "fmt ":
			if err := w.readFormat(size); err != nil {
				return nil, err
			}
		case "ds64":
			body := make([]byte, 16)
			if size < 16 {
				return nil, DamagedError{"its ds64 chunk is too short"}
			}
			if err := w.full(body); err != nil {
				return nil, w.beforeSound(err)
			}
			long = int64(min(binary.LittleEndian.Uint64(body[8:]), 1<<62))
			err = w.skip(int64(size) - 16)
			if err == nil {
				err = w.pad(size)
			}
			if err != nil {
				return nil, w.beforeSound(err)
			}
		default:
			if err := w.skip(int64(size)); err != nil {
				return nil, w.beforeSound(err)
			}
			if err := w.pad(size); err != nil {
				return nil, w.beforeSound(err)
			}
		}
	}
}

func broken(err error) error { return fmt.Errorf("reading the recording: %w", err) }

func (w *Reader) beforeSound(err error) error {
	if w.from.err == io.EOF {
		return DamagedError{"it ends before its sound begins"}
	}
	return broken(err)
}

func (w *Reader) full(b []byte) error {
	n, err := io.ReadFull(w.in, b)
	w.at += int64(n)
	return err
}

func (w *Reader) skip(n int64) error {
	skipped, err := io.CopyN(io.Discard, w.in, n)
	w.at += skipped
	return err
}

// chunk reads a chunk's head.
func (w *Reader) chunk() (id string, size uint32, err error) {
	var head [8]byte
	if err := w.full(head[:]); err != nil {
		return "", 0, err
	}
	return string(head[:4]), binary.LittleEndian.Uint32(head[4:]), nil
}

// pad skips the byte that makes a chunk's length even. Some writers forget it: then the next chunk's name is there already.
func (w *Reader) pad(size uint32) error {
	if size%2 == 0 {
		return nil
	}
	if next, err := w.in.Peek(4); err == nil && known(next) {
		return nil
	}
	if err := w.skip(1); err != nil && err != io.EOF {
		return err
	}
	return nil
}

// known reports whether these four bytes are the name of a chunk that is met in WAVE files.
func known(b []byte) bool {
	switch string(b) {
	case "data", "fmt ", "fact", "LIST", "JUNK", "junk", "PAD ", "FLLR", "bext", "cue ", "PEAK", "smpl", "inst", "id3 ", "ID3 ", "iXML", "afsp", "DISP",
		"axml", "ds64", "_PMX", "cart", "minf", "elm1", "regn", "umid", "acid", "plst", "labl", "note", "ltxt":
		return true
	}
	return false
}

// guid is the rest of a sub-format's GUID that stands for a codec's number (Microsoft, "WAVEFORMATEXTENSIBLE").
const guid = "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xAA\x00\x38\x9B\x71"

func (w *Reader) readFormat(size uint32) error {
	if size < 16 || size > 1<<16 {
		return DamagedError{fmt.Sprintf("its format takes %d bytes", size)}
	}
	b := make([]byte, size)
	if err := w.full(b); err != nil {
		return w.beforeSound(err)
	}
	if err := w.pad(size); err != nil {
		return w.beforeSound(err)
	}
	le := binary.LittleEndian
	f := Format{Codec: Codec(le.Uint16(b)), Channels: int(le.Uint16(b[2:])), Rate: int(le.Uint32(b[4:])), Bits: int(le.Uint16(b[14:]))}
	align := int(le.Uint16(b[12:]))
	if f.Codec == extensible {
		if len(b) < 40 || string(b[26:40]) != guid {
			return UnsupportedError{"an extensible format without a codec's number"}
		}
		f.Codec = Codec(le.Uint16(b[24:]))
	}
	switch {
	case f.Codec != PCM && f.Codec != MuLaw && f.Codec != ALaw:
		return UnsupportedError{f.Codec.String()}
	case f.Codec == PCM && f.Bits != 8 && f.Bits != 16 && f.Bits != 24 && f.Bits != 32, f.Codec != PCM && f.Bits != 8:
		return UnsupportedError{fmt.Sprintf("%s with %d bits a sample", f.Codec, f.Bits)}
	case f.Channels < 1 || f.Channels > maxChannels:
		return UnsupportedError{fmt.Sprintf("%d channels", f.Channels)}
	case f.Rate < 4000 || f.Rate > 192000:
		return UnsupportedError{fmt.Sprintf("%d samples a second", f.Rate)}
	case align != f.Align():
		return DamagedError{fmt.Sprintf("its format says that a frame has %d bytes, and %s has %d", align, f, f.Align())}
	}
	w.format = f
	return nil
}

// maxChannels bounds what a header can make us allocate.
const maxChannels = 8

// begin is at the first sample.
func (w *Reader) begin(size, long int64) {
	w.offset = w.at
	switch {
	case long >= 0 && size == 0xFFFFFFFF:
		w.size = long
	case size >= unknownSize:
		w.open = true
	case size == 0:
		// Streamed and never mended, or really empty.
		next, _ := w.in.Peek(8)
		w.open = len(next) > 0 && !(len(next) == 8 && known(next[:4]))
	default:
		w.size = size
	}
	w.left = w.size
	frames := blockBytes / w.format.Align()
	w.wide = make([]int16, (frames*w.format.Align()+1)/2)
	w.raw = unsafe.Slice((*byte)(unsafe.Pointer(&w.wide[0])), frames*w.format.Align())
	if w.samples = w.wide; w.format.Bits != 16 || !little {
		w.samples = make([]int16, frames*w.format.Channels)
	}
	switch {
	case w.format.Codec == MuLaw:
		w.table = table(g711.DecodeUlawFrame)
	case w.format.Codec == ALaw:
		w.table = table(g711.DecodeAlawFrame)
	case w.format.Bits == 8:
		w.table = table(func(b uint8) int16 { return (int16(b) - 128) << 8 }) // unsigned
	}
}

func table(decode func(uint8) int16) *[256]int16 {
	var t [256]int16
	for i := range t {
		t[i] = decode(uint8(i))
	}
	return &t
}

// little says that this machine's memory has the order of a WAVE file's bytes.
var little = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// Format is what the samples are.
func (w *Reader) Format() Format { return w.format }

// Offset is where in the file the first sample is, in bytes.
func (w *Reader) Offset() int64 { return w.offset }

// Frames is how many were decoded so far.
func (w *Reader) Frames() int64 { return w.frames }

// Promised is how many frames the header says there are, and false if it says nothing.
func (w *Reader) Promised() (frames int64, ok bool) {
	return w.size / int64(w.format.Align()), !w.open
}

// Duration is how long the sound is that was decoded so far.
func (w *Reader) Duration() time.Duration { return w.format.Duration(w.frames) }

// Duration is how long so many frames take.
func (f Format) Duration(frames int64) time.Duration {
	rate := int64(f.Rate)
	return time.Duration(frames/rate)*time.Second + time.Duration(frames%rate)*time.Second/time.Duration(rate)
}

// Damage is what was found wrong. It is complete once Next has returned io.EOF.
func (w *Reader) Damage() []Damage { return w.damage }

// Table is what each byte means on the scale of 16 bits, for a codec whose samples are of one; nil for the others.
func (w *Reader) Table() *[256]int16 { return w.table }

// Next returns the next samples on the scale of 16 bits, those of all channels of a frame next to each other, valid until it is
// called again. After the last ones it returns io.EOF, also for a damaged file; any other error is the stream's, and what came
// before it is good.
func (w *Reader) Next() ([]int16, error) {
	raw, err := w.NextBytes()
	if err != nil {
		return nil, err
	}
	return w.decode(raw), nil
}

// NextBytes is Next with the samples as they are stored, for who has a use for Table.
func (w *Reader) NextBytes() ([]byte, error) {
	if w.ended {
		return nil, io.EOF
	}
	align := w.format.Align()
	raw := w.raw
	if !w.open && w.left < int64(len(raw)) {
		raw = raw[:w.left]
	}
	n, err := io.ReadFull(w.in, raw)
	w.left -= int64(n)
	switch {
	case err == nil && (w.open || w.left > 0):
	case err == nil:
		w.ended = true
		if n%align != 0 {
			w.damage = append(w.damage, Torn)
		}
		w.after()
	case w.from.err == io.EOF:
		w.ended = true
		if !w.open {
			w.damage = append(w.damage, Truncated)
		}
		if n%align != 0 {
			w.damage = append(w.damage, Torn)
		}
	default:
		return nil, broken(err)
	}
	frames := n / align
	if frames == 0 {
		return nil, io.EOF
	}
	w.frames += int64(frames)
	return raw[:frames*align], nil
}

// after looks at what follows the samples. A stream that breaks off here, or a comment that is cut, is no loss of sound.
func (w *Reader) after() {
	if w.pad(uint32(w.size&1)) != nil {
		return
	}
	for {
		next, _ := w.in.Peek(8)
		switch {
		case len(next) < 8 && (len(next) == 0 || w.from.err != io.EOF):
			return
		case len(next) < 8 || !known(next[:4]):
			w.damage = append(w.damage, Trailing)
			return
		case string(next[:4]) == "data":
			w.damage = append(w.damage, Again)
			return
		}
		_, size, err := w.chunk()
		if err != nil || w.skip(int64(size)) != nil || w.pad(size) != nil {
			return
		}
	}
}

// decode makes samples of bytes.
func (w *Reader) decode(raw []byte) []int16 {
	width := w.format.Bits / 8
	out := w.samples[:len(raw)/width]
	switch {
	case w.table != nil:
		for i, b := range raw[:len(out)] {
			out[i] = w.table[b]
		}
	case width == 2 && little: // they are there already
	default: // little-endian; of more than 16 bits the upper ones
		for i := range out {
			out[i] = int16(binary.LittleEndian.Uint16(raw[i*width+width-2:]))
		}
	}
	return out
}

package cardnumber

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line is what somebody wrote at once. Its party is who; a text that stands alone has none.
type Line struct {
	Party    string
	Language string // of the text, such as en; empty if it isn't known
	Text     string
}

// Place is a piece of a line that belongs to a number: bytes from From up to To.
type Place struct {
	Line, From, To int
	// Masked stands for the piece where it is shown.
	Masked string
}

// Hit is a card number that was found.
type Hit struct {
	// Masked is the number as it may be shown: the first six and the last four digits at most (PCI DSS 4.0.1, 3.4.1).
	Masked string
	Brand  Brand
	// Places are its pieces, in order; more than one where it was written in several goes.
	Places []Place
	// Doubt says why it may be something else: a sentence's end, such as "it is called an order"; empty if nothing speaks for that.
	Doubt string
}

// Search finds card numbers in a conversation: as digits of any script with whatever stands between them, in words of several
// languages, and in several messages of one party, one after the other, with the other party's in between. A number counts if it
// has a length of its issuer's and passes the check of ISO/IEC 7812-1, annex B. What is more likely to be something else is found,
// too, with the doubt.
//
// It is for looking at what was written. Find, which takes more for a card number, is for refusing to write.
func Search(lines []Line) []Hit {
	of := map[string]*searcher{} // each party's
	for i, l := range lines {
		if of[l.Party] == nil {
			of[l.Party] = &searcher{lines: lines}
		}
		of[l.Party].line(i)
	}
	var hits []Hit
	for _, s := range of {
		s.end()
		hits = append(hits, s.hits...)
	}
	slices.SortStableFunc(hits, func(a, b Hit) int {
		if d := a.Places[0].Line - b.Places[0].Line; d != 0 {
			return d
		}
		return a.Places[0].From - b.Places[0].From
	})
	return hits
}

// group is digits that stand together, or the word of one.
type group struct {
	digits   []byte
	line     int
	from, to int
	said     bool // in words
	touches  bool // a letter is right beside it
	comma    bool // a comma, or something else that lists, before it
	plus     bool // a plus before it, as before a phone number
}

type searcher struct {
	lines  []Line
	hits   []Hit
	run    []group
	breaks int // between lines in the run
	repeat int // of the next digit
	ten    *group
	apart  int // characters since the last group
	comma  bool
}

// bounds of what is one number.
const (
	maxApart  = 4 // characters between groups
	maxBreaks = 8 // lines it is spread over
)

// line goes through a line's tokens.
func (s *searcher) line(at int) {
	text, language := s.lines[at].Text, s.lines[at].Language
	skip := ibans(text)
	if len(s.run) > 0 {
		s.breaks++
		s.apart = 0
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if to := skip[i]; to > 0 {
			s.end()
			i = to
			continue
		}
		if _, ok := digit(r); ok {
			i = s.number(at, text, i)
			continue
		}
		if unicode.IsLetter(r) {
			to := i + size
			for to < len(text) {
				next, n := utf8.DecodeRuneInString(text[to:])
				if !unicode.IsLetter(next) && next != '\'' && next != '’' {
					break
				}
				to += n
			}
			s.word(at, i, to, fold(strings.ReplaceAll(text[i:to], "’", "'")), language)
			i = to
			continue
		}
		if r == '*' && !(i > 0 && i+1 < len(text) && isPlain(text[i-1]) && isPlain(text[i+1])) {
			s.end() // what is masked already
		}
		s.mark(r)
		i += size
	}
	s.settle()
}

// number takes a group of digits, with what can't be seen between them, and returns where it ends.
func (s *searcher) number(at int, text string, from int) int {
	g := group{line: at, from: from, to: from}
	before, _ := utf8.DecodeLastRuneInString(text[:from])
	g.touches, g.plus = unicode.IsLetter(before), before == '+'
	i := from
	for i < len(text) {
		r, size := utf8.DecodeRuneInString(text[i:])
		d, ok := digit(r)
		if !ok && !invisible(r) {
			g.touches = g.touches || unicode.IsLetter(r)
			break
		}
		if i += size; ok {
			g.digits, g.to = append(g.digits, d), i
		}
	}
	if s.ten != nil {
		s.settle()
	}
	if s.repeat > 0 && len(g.digits) == 1 {
		for ; s.repeat > 1; s.repeat-- {
			g.digits = append(g.digits, g.digits[0])
		}
	}
	s.repeat = 0
	s.add(g)
	return i
}

// invisible are marks that people's devices put between digits: of direction, of width, and what makes an emoji of a digit.
func invisible(r rune) bool { return unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me) }

func (s *searcher) word(at, from, to int, word, language string) {
	if t := s.ten; t != nil {
		if d, ok := spoken["en"][word]; ok && d > 0 {
			t.digits[1], t.to = d, to
			s.settle()
			return
		}
	}
	s.settle()
	g := group{line: at, from: from, to: to, said: true}
	switch d, ok := spokenDigit(language, word); {
	case ok && (len(s.run) > 0 || word != "o" && word != "oh"):
		for range max(s.repeat, 1) {
			g.digits = append(g.digits, d)
		}
		s.repeat = 0
		s.add(g)
	case pairs[word] != "":
		g.digits = []byte{pairs[word][0] - '0', pairs[word][1] - '0'}
		s.add(g)
	case tens[word] > 0:
		g.digits = []byte{tens[word], 0}
		s.ten = &g
	case times[word] > 0:
		s.repeat = times[word]
		s.apart = 0
	case fillers[word]:
		s.apart = 0
	default:
		s.end()
	}
}

// settle ends a "forty" that nothing followed.
func (s *searcher) settle() {
	if s.ten != nil {
		g := *s.ten
		s.ten = nil
		s.add(g)
	}
}

// mark is a character between groups.
func (s *searcher) mark(r rune) {
	if invisible(r) || len(s.run) == 0 && s.ten == nil {
		return
	}
	switch {
	case s.ten != nil: // "forty-one"
		return
	case strings.ContainsRune(":;=@#+?!%$€£&()[]{}", r):
		s.end()
		return
	case strings.ContainsRune(",|", r):
		s.comma = true
	}
	if s.apart++; s.apart > maxApart {
		s.end()
	}
}

func (s *searcher) add(g group) {
	g.comma = s.comma
	s.comma, s.apart = false, 0
	s.run = append(s.run, g)
	if s.breaks > maxBreaks {
		s.judge()
		s.run, s.breaks = []group{g}, 0
	}
}

// end ends the run and judges it.
func (s *searcher) end() {
	s.settle()
	s.judge()
	s.run, s.breaks, s.repeat, s.apart, s.comma = s.run[:0], 0, 0, 0, false
}

// judge looks for numbers of whole groups, none of which overlap.
func (s *searcher) judge() {
	for i := 0; i < len(s.run); {
		end, n, cover := s.best(i)
		if n == 0 {
			i++
			continue
		}
		s.found(i, end, n, cover)
		i = cover
	}
}

// best is the likeliest number that begins with a group: up to which group, and its digits. That is the one of the brand's usual
// length, since a code of three digits after it makes another valid one in one case of ten; else the longest. What the longest
// covers is hidden with it. A group that is too long for a number may begin with one, where somebody left out the spaces before
// the date or the code.
func (s *searcher) best(i int) (end, n, cover int) {
	var digits []byte
	usual := false
	for j := i; j < len(s.run) && len(digits) < 19; j++ {
		digits = append(digits, s.run[j].digits...)
		if !valid(digits) {
			continue
		}
		if cover = j + 1; !usual {
			end, n, usual = j+1, len(digits), len(digits) == brandOf(digits).usual()
		}
	}
	if all := s.run[i].digits; n == 0 && len(all) > 16 {
		for k := min(19, len(all)-1); k >= 15 && n == 0; k-- {
			if valid(all[:k]) {
				end, n, cover = i+1, k, i+1
			}
		}
	}
	return end, n, cover
}

// valid reports whether digits are a number that a card may have. One of a single digit repeated isn't.
func valid(digits []byte) bool {
	if len(digits) < 13 || len(digits) > 19 || brandOf(digits) == "" || !luhn(digits) {
		return false
	}
	return slices.ContainsFunc(digits, func(d byte) bool { return d != digits[0] })
}

// found notes the first n digits of the groups from i up to j as a number, and that what comes up to cover belongs to it.
func (s *searcher) found(i, j, n, cover int) {
	groups := s.run[i:cover]
	var digits []byte
	for _, g := range groups {
		digits = append(digits, g.digits...)
	}
	digits = digits[:n]
	h := Hit{Masked: mask(digits, 0, n), Brand: brandOf(digits)}
	at := 0
	for _, g := range groups {
		// What is longer than the number is hidden, too: the code may be in it.
		to := at + len(g.digits)
		p := Place{g.line, g.from, g.to, mask(digits, min(at, n), min(to, n)) + strings.Repeat("*", to-max(at, min(to, n)))}
		at = to
		if last := len(h.Places) - 1; last >= 0 && h.Places[last].Line == g.line {
			p.From, p.Masked = h.Places[last].From, h.Places[last].Masked+p.Masked
			h.Places = h.Places[:last]
		}
		h.Places = append(h.Places, p)
	}
	h.Doubt = s.doubt(i, j, n)
	s.hits = append(s.hits, h)
}

// mask writes digits from a number, but for those that may not be shown.
func mask(number []byte, from, to int) string {
	b := make([]byte, 0, to-from)
	for i := from; i < to; i++ {
		if i < 6 || i >= len(number)-4 {
			b = append(b, '0'+number[i])
		} else {
			b = append(b, '*')
		}
	}
	return string(b)
}

// doubt weighs what stands around a number, and how it is written.
func (s *searcher) doubt(i, j, n int) string {
	groups := s.run[i:j]
	first, last := groups[0], groups[len(groups)-1]
	called := ""
	before := s.lines[first.line].Text[:first.from]
	if len(strings.Fields(before)) < 2 && first.line > 0 { // an answer: the question says what it is
		before = s.lines[first.line-1].Text + " " + before
	}
	near := append(lastWords(before, 8), firstWords(s.lines[last.line].Text[last.to:], 4)...)
	for _, w := range near {
		if cards[w] {
			return ""
		}
	}
	for _, w := range slices.Backward(lastWords(before, 6)) {
		if others[w] {
			called = w
			break
		}
	}
	digits := 0
	var sizes []int
	said, comma := true, false
	for k, g := range groups {
		digits += len(g.digits)
		sizes = append(sizes, len(g.digits))
		said, comma = said && g.said, comma || k > 0 && g.comma
	}
	switch {
	case called != "":
		return "it is called \"" + called + "\""
	case first.plus && n <= 15:
		return "it is written as a phone number"
	case digits != n:
		return "it is part of a longer number"
	case first.touches || last.touches:
		return "letters are part of it"
	case n == 13 && ean(s.run[i:j]):
		return "it is an article's number, too"
	case said:
		return ""
	case comma:
		return "it may be a list of numbers"
	case i > 0 && s.run[i-1].line == first.line && len(s.run[i-1].digits) >= 3:
		return "more digits stand before it"
	case first.line == last.line && !usual(sizes):
		return "no card's number is grouped like this"
	}
	return ""
}

// usual reports whether cards' numbers are written in such groups: all in one, in fours, 4-6-5 and 4-6-4, 6-13, 8-8, or singly.
func usual(sizes []int) bool {
	all := func(n int, sizes []int) bool { return !slices.ContainsFunc(sizes, func(s int) bool { return s != n }) }
	last := len(sizes) - 1
	switch {
	case last == 0, all(1, sizes), all(2, sizes):
		return true
	case all(4, sizes[:last]) && sizes[last] <= 7:
		return true
	case last == 2 && sizes[0] == 4 && sizes[1] == 6:
		return true
	case last == 1 && (sizes[0] == 6 || sizes[0] == 8):
		return true
	}
	return false
}

// ean reports whether thirteen digits are an article's number (GS1): every such number passes that check, a card's one in ten.
func ean(groups []group) bool {
	sum, i := 0, 0
	for _, g := range groups {
		for _, d := range g.digits {
			sum += int(d) * []int{1, 3}[i%2]
			i++
		}
	}
	return sum%10 == 0
}

var wordPattern = regexp.MustCompile(`\p{L}+`)

func lastWords(s string, n int) []string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[len(s)-200:], "")
	}
	all := wordPattern.FindAllString(s, -1)
	return foldAll(all[max(0, len(all)-n):])
}

func firstWords(s string, n int) []string {
	if len(s) > 100 {
		s = strings.ToValidUTF8(s[:100], "")
	}
	return foldAll(wordPattern.FindAllString(s, n))
}

func foldAll(words []string) []string {
	for i, w := range words {
		words[i] = fold(w)
	}
	return words
}

var ibanPattern = regexp.MustCompile(`\b[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{2,4}){2,8}(?:[ -]?[A-Z0-9]{1,3})?\b`)

// ibans are where the account numbers of ISO 13616 begin and end in a text: their digits are no card's.
func ibans(text string) map[int]int {
	var found map[int]int
	for _, at := range ibanPattern.FindAllStringIndex(text, -1) {
		for end := at[1]; end-at[0] >= 15; end-- { // what follows may look like more of it
			if end < len(text) && isPlain(text[end]) && isPlain(text[end-1]) || !isIBAN(text[at[0]:end]) {
				continue
			}
			if found == nil {
				found = map[int]int{}
			}
			found[at[0]] = end
			break
		}
	}
	return found
}

func isPlain(c byte) bool { return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' }

// isIBAN checks the number by MOD 97-10 (ISO/IEC 7064).
func isIBAN(s string) bool {
	s = strings.NewReplacer(" ", "", "-", "").Replace(s)
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	rest := 0
	for _, c := range []byte(s[4:] + s[:4]) {
		if c <= '9' {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	return rest == 1
}

var securityCode = regexp.MustCompile(`(?i)\b(?:cvv2?|cvc2?|csc|cid|security\s+code|prüfziffer|code\s+de\s+sécurité|código\s+de\s+seguridad)\b[^0-9\n]{0,20}([0-9]{3,4})\b`)

// Hide returns the lines' texts as they may be shown: card numbers masked, the doubtful ones too, and the security codes that
// are named as such.
func Hide(lines []Line) []string {
	pieces := make([][]Place, len(lines))
	for _, h := range Search(lines) {
		for _, p := range h.Places {
			pieces[p.Line] = append(pieces[p.Line], p)
		}
	}
	out := make([]string, len(lines))
	for i, l := range lines {
		for _, at := range securityCode.FindAllStringSubmatchIndex(l.Text, -1) {
			pieces[i] = append(pieces[i], Place{i, at[2], at[3], strings.Repeat("*", at[3]-at[2])})
		}
		slices.SortFunc(pieces[i], func(a, b Place) int { return a.From - b.From })
		var b strings.Builder
		at := 0
		for _, p := range pieces[i] {
			if p.From < at {
				continue
			}
			b.WriteString(l.Text[at:p.From] + p.Masked)
			at = p.To
		}
		out[i] = b.String() + l.Text[at:]
	}
	return out
}

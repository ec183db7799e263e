// Package cardnumber finds card numbers in what people and platforms write.
//
// Find and Mask are for text that is about to be kept: they err on the side of finding, since an id that looks like a card number
// needn't be kept either. Search and Hide are for conversations that are kept already, elsewhere: they look harder, across words
// and messages, and tell what is probably something else. Nothing that this package returns holds more of a number than may be
// shown.
package cardnumber

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Find returns the byte ranges of s that may hold a card number: 13 to 19 digits (ISO/IEC 7812-1), in any script, that pass
// the check of its annex B (Luhn), with at most two spaces, dashes or other separators between them. Only whole groups of
// digits are taken together, so that a long number isn't one by a chance part of it; but within a group of more than 19 any
// part counts.
func Find(s string) (runs [][2]int) {
	var digits []byte
	var groups []int // where each group of digits begins
	var from, to, gap int
	end := func() {
		if holdsCard(digits, groups) {
			runs = append(runs, [2]int{from, to})
		}
		digits, groups, gap = digits[:0], groups[:0], 0
	}
	for i, r := range s {
		switch value, ok := digit(r); {
		case ok:
			if len(digits) == 0 {
				from = i
			}
			if len(digits) == 0 || gap > 0 {
				groups = append(groups, len(digits))
			}
			digits, gap, to = append(digits, value), 0, i+utf8.RuneLen(r)
		case len(digits) > 0 && gap < 2 && (strings.ContainsRune("._/*,", r) || unicode.In(r, unicode.Zs, unicode.Pd)):
			gap++
		default:
			end()
		}
	}
	end()
	return runs
}

// digit is the value of a decimal digit of any script. Unicode keeps each script's ten in order and together.
func digit(r rune) (byte, bool) {
	if r >= '0' && r <= '9' {
		return byte(r - '0'), true
	}
	if r < 0x80 || !unicode.IsDigit(r) {
		return 0, false
	}
	first := r
	for unicode.IsDigit(first - 1) {
		first--
	}
	return byte((r - first) % 10), true
}

func holdsCard(digits []byte, groups []int) bool {
	ends := append(slices.Clone(groups), len(digits))
	for i, from := range groups {
		for _, to := range ends[i+1:] {
			if to-from > 19 {
				break
			}
			if to-from >= 13 && luhn(digits[from:to]) {
				return true
			}
		}
		for to := from + 13; ends[i+1]-from > 19 && to <= ends[i+1]; to++ {
			for n := 13; n <= min(19, to-from); n++ {
				if luhn(digits[to-n : to]) {
					return true
				}
			}
		}
	}
	return false
}

func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// Mask replaces what may be a card number.
func Mask(s string) string {
	runs := Find(s)
	if len(runs) == 0 {
		return s
	}
	var b strings.Builder
	at := 0
	for _, run := range runs {
		b.WriteString(s[at:run[0]])
		b.WriteString("[card number removed]")
		at = run[1]
	}
	b.WriteString(s[at:])
	return b.String()
}

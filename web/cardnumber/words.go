package cardnumber

import (
	"strings"
	"unicode/utf8"
)

// spoken are the words of digits, by language. Accents are left out: people who type in a hurry leave them out, too.
var spoken = map[string]map[string]byte{
	"en": {"zero": 0, "oh": 0, "o": 0, "nought": 0, "naught": 0, "nil": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "niner": 9},
	"de": {"null": 0, "eins": 1, "zwei": 2, "zwo": 2, "drei": 3, "vier": 4, "funf": 5, "fuenf": 5, "sechs": 6, "sieben": 7, "acht": 8, "neun": 9},
	"es": {"cero": 0, "uno": 1, "dos": 2, "tres": 3, "cuatro": 4, "cinco": 5, "seis": 6, "siete": 7, "ocho": 8, "nueve": 9},
	"fr": {"zero": 0, "un": 1, "deux": 2, "trois": 3, "quatre": 4, "cinq": 5, "six": 6, "sept": 7, "huit": 8, "neuf": 9},
	"it": {"zero": 0, "uno": 1, "due": 2, "tre": 3, "quattro": 4, "cinque": 5, "sei": 6, "sette": 7, "otto": 8, "nove": 9},
	"nl": {"nul": 0, "een": 1, "twee": 2, "drie": 3, "vier": 4, "vijf": 5, "zes": 6, "zeven": 7, "acht": 8, "negen": 9},
	"pt": {"zero": 0, "um": 1, "dois": 2, "tres": 3, "quatro": 4, "cinco": 5, "seis": 6, "meia": 6, "sete": 7, "oito": 8, "nove": 9},
}

// pairs are the English words of two digits: "forty-one eleven" is 4111. tens take the next word's digit.
var (
	pairs = map[string]string{"ten": "10", "eleven": "11", "twelve": "12", "thirteen": "13", "fourteen": "14", "fifteen": "15", "sixteen": "16", "seventeen": "17",
		"eighteen": "18", "nineteen": "19"}
	tens = map[string]byte{"twenty": 2, "thirty": 3, "forty": 4, "fourty": 4, "fifty": 5, "sixty": 6, "seventy": 7, "eighty": 8, "ninety": 9}
	// times say how often the next digit comes.
	times = map[string]int{"double": 2, "triple": 3, "treble": 3, "quadruple": 4, "doppel": 2, "doble": 2, "triplo": 3}
	// fillers are said between digits and mean none.
	fillers = words("and then um uh er erm dash hyphen space minus dot comma next ok okay so it's its y e et und luego dann puis trait tiret guion strich")
)

// Words that stand near a number and say what it is. cards make it one, others make it something else.
var (
	cards = words("card cards visa mastercard amex american express discover diners jcb maestro unionpay rupay credit debit cc pan pay paid payment charge exp expiry expires expiration cvv cvc csc " +
		"tarjeta karte kreditkarte carte carta cartao pago bezahlen paiement")
	others = words("order invoice tracking track parcel shipment case ticket reference ref booking confirmation transaction txn session id imei serial sku part model ean barcode isbn phone tel " +
		"telephone mobile cell fax iban account policy membership member loyalty coupon voucher contract customer claim pedido factura bestellung rechnung auftrag sendung commande facture telefon handy " +
		"telefono numero pedidos guid uuid hash version epoch timestamp meter badge license licence vin tax vat patient claimant waybill awb")
)

func words(list string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(list) {
		all[w] = true
	}
	return all
}

// spokenDigit is the digit that a word means in a language, in English always, and in any language if none is known.
func spokenDigit(language, word string) (byte, bool) {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	if d, ok := spoken[base][word]; ok {
		return d, true
	}
	if d, ok := spoken["en"][word]; ok {
		return d, true
	}
	if spoken[base] != nil || fillers[word] {
		return 0, false
	}
	for _, table := range spoken {
		if d, ok := table[word]; ok {
			return d, true
		}
	}
	return 0, false
}

// fold is a word in lower case, without the accents that Western European languages have.
func fold(word string) string {
	word = strings.ToLower(word)
	if !strings.ContainsFunc(word, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return word
	}
	return strings.Map(func(r rune) rune {
		for plain, accented := range map[rune]string{'a': "áàâäãå", 'c': "ç", 'e': "éèêë", 'i': "íìîï", 'n': "ñ", 'o': "óòôöõ", 'u': "úùûü"} {
			if strings.ContainsRune(accented, r) {
				return plain
			}
		}
		return r
	}, word)
}

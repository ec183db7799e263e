package cardnumber

// Brand is whose card a number is of.
type Brand string

// The brands. Those that share ranges by contract are told as the one that owns them.
const (
	AmericanExpress Brand = "American Express"
	Diners          Brand = "Diners Club"
	Discover        Brand = "Discover"
	JCB             Brand = "JCB"
	Maestro         Brand = "Maestro"
	Mastercard      Brand = "Mastercard"
	Mir             Brand = "Mir"
	RuPay           Brand = "RuPay"
	Troy            Brand = "Troy"
	UnionPay        Brand = "UnionPay"
	Verve           Brand = "Verve"
	Visa            Brand = "Visa"
)

// issuers are the ranges of issuer numbers (ISO/IEC 7812-1: the first digits, here of four) that cards are given out in, and how
// long their numbers are. UATP's, which begin with 1 and are no payment card outside air travel, are left out: half the numbers
// of the world begin so.
var issuers = []struct {
	from, to int
	lengths  string // one letter a length, from 'm' for 13 to 's' for 19
	brand    Brand
}{
	{2200, 2204, "pqrs", Mir}, {2221, 2720, "p", Mastercard}, {3000, 3059, "nopqrs", Diners}, {3095, 3095, "nopqrs", Diners}, {3400, 3499, "o", AmericanExpress},
	{3528, 3589, "pqrs", JCB}, {3600, 3699, "nopqrs", Diners}, {3700, 3799, "o", AmericanExpress}, {3800, 3999, "nopqrs", Diners}, {4000, 4999, "mps", Visa},
	{5018, 5018, "mnopqrs", Maestro}, {5019, 5019, "p", Visa /* Dankort */}, {5020, 5020, "mnopqrs", Maestro}, {5038, 5038, "mnopqrs", Maestro},
	{5060, 5061, "prs", Verve}, {5078, 5079, "prs", Verve}, {5080, 5089, "p", RuPay}, {5100, 5599, "p", Mastercard}, {5612, 5612, "mnopqrs", Maestro},
	{5893, 5893, "mnopqrs", Maestro}, {6000, 6010, "p", RuPay}, {6011, 6011, "pqrs", Discover}, {6012, 6099, "p", RuPay}, {6200, 6299, "pqrs", UnionPay},
	{6304, 6304, "mnopqrs", Maestro}, {6390, 6390, "mnopqrs", Maestro}, {6440, 6599, "pqrs", Discover}, {6759, 6763, "mnopqrs", Maestro}, {6799, 6799, "mnopqrs", Maestro},
	{8100, 8171, "pqrs", UnionPay}, {8172, 8299, "p", RuPay}, {9792, 9792, "p", Troy},
}

// brandOf returns the brand that gives out numbers of that beginning and length; "" if none does.
func brandOf(digits []byte) Brand {
	begin := int(digits[0])*1000 + int(digits[1])*100 + int(digits[2])*10 + int(digits[3])
	for _, i := range issuers {
		if begin < i.from {
			break
		}
		if begin > i.to {
			continue
		}
		for _, l := range []byte(i.lengths) {
			if len(digits) == int(l-'m')+13 {
				return i.brand
			}
		}
	}
	return ""
}

// usual is the length of nearly all of a brand's numbers; 0 if there is no such length.
func (b Brand) usual() int {
	switch b {
	case AmericanExpress:
		return 15
	case Diners:
		return 14
	case UnionPay, Maestro:
		return 0
	}
	return 16
}

package jsonpath

import (
	"slices"
	"unicode"
)

// maxUnit is the largest UTF-16 code unit; .NET's regular expressions match
// units, so a character beyond U+FFFF is two of them.
const maxUnit = 0xFFFF

// unitRange is a range of code units, both ends included.
type unitRange struct{ low, high rune }

// charset is a set of code units: ranges in order that do not touch. ascii has
// a bit for each unit below 128.
type charset struct {
	ranges []unitRange
	ascii  [2]uint64
}

func (c *charset) has(u rune) bool {
	if u < 128 {
		return c.ascii[u>>6]&(1<<(u&63)) != 0
	}
	low, high := 0, len(c.ranges)
	for low < high {
		if mid := (low + high) / 2; c.ranges[mid].high < u {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low < len(c.ranges) && c.ranges[low].low <= u
}

func (c *charset) add(low, high rune) { c.ranges = append(c.ranges, unitRange{low, high}) }

// addFolded adds what differs from low to high by case: .NET takes characters
// with the same lower case for equal.
func (c *charset) addFolded(low, high rune) {
	c.add(low, high)
	for u := low; u <= high; u++ {
		for other := unicode.SimpleFold(u); other != u; other = unicode.SimpleFold(other) {
			if other <= maxUnit && unicode.ToLower(other) == unicode.ToLower(u) {
				c.add(other, other)
			}
		}
	}
}

func (c *charset) addTable(table *unicode.RangeTable) {
	for _, r := range table.R16 {
		if r.Stride == 1 {
			c.add(rune(r.Lo), rune(r.Hi))
			continue
		}
		for u := rune(r.Lo); u <= rune(r.Hi); u += rune(r.Stride) {
			c.add(u, u)
		}
	}
}

func (c *charset) addSet(other *charset) { c.ranges = append(c.ranges, other.ranges...) }

// settle puts the ranges in order.
func (c *charset) settle() *charset {
	slices.SortFunc(c.ranges, func(a, b unitRange) int { return int(a.low - b.low) })
	merged := c.ranges[:0]
	for _, r := range c.ranges {
		if last := len(merged) - 1; last >= 0 && r.low <= merged[last].high+1 {
			merged[last].high = max(merged[last].high, r.high)
		} else {
			merged = append(merged, r)
		}
	}
	c.ranges, c.ascii = merged, [2]uint64{}
	for _, r := range merged {
		for u := r.low; u <= min(r.high, 127); u++ {
			c.ascii[u>>6] |= 1 << (u & 63)
		}
	}
	return c
}

// negated returns the units that c, which is settled, does not have.
func (c *charset) negated() *charset {
	n, next := &charset{}, rune(0)
	for _, r := range c.ranges {
		if r.low > next {
			n.add(next, r.low-1)
		}
		next = r.high + 1
	}
	if next <= maxUnit {
		n.add(next, maxUnit)
	}
	return n.settle()
}

// without returns c less what other has; both are settled.
func (c *charset) without(other *charset) *charset {
	all := c.negated()
	all.addSet(other)
	return all.settle().negated()
}

// setOf returns the set of some tables.
func setOf(tables ...*unicode.RangeTable) *charset {
	c := &charset{}
	for _, t := range tables {
		c.addTable(t)
	}
	return c.settle()
}

// Sets that escapes name, as .NET defines them.
var (
	digitSet   = setOf(unicode.Nd)
	spaceSet   = setOf(unicode.White_Space)
	wordSet    = setOf(unicode.L, unicode.Mn, unicode.Nd, unicode.Pc)
	newlineSet = (&charset{ranges: []unitRange{{'\n', '\n'}}}).settle()
	casedSet   = setOf(unicode.Lu, unicode.Ll, unicode.Lt)
	anySet     = (&charset{ranges: []unitRange{{0, maxUnit}}}).settle()
	lineSet    = newlineSet.negated()
)

// isWord reports whether \b takes u for a part of a word: the joiners count.
func isWord(u rune) bool { return u >= 0 && (wordSet.has(u) || u == 0x200C || u == 0x200D) }

// categorySet returns the set of a Unicode general category by the names that
// .NET knows; nil for others. Without regard to case the cased letters are one.
func categorySet(name string, ignoreCase bool) *charset {
	if len(name) > 2 || name == "LC" {
		return nil
	}
	table := unicode.Categories[name]
	switch {
	case table == nil:
		return nil
	case ignoreCase && (name == "Lu" || name == "Ll" || name == "Lt"):
		return casedSet
	}
	return setOf(table)
}

package server

import (
	"bytes"
	"strings"
	"time"
)

// primitive is one of R4's primitive types.
type primitive struct {
	kind kind                   // of the JSON value
	ok   func(text []byte) bool // for textKind the text inside the quotes, unescaped
	rule string                 // completes "Observation.status ..."
	show bool                   // the text may stand in an error: it is no content of a record
}

// primitives by name. A base64Binary or a markdown may be as long as a body;
// SampledData.data is a string, yet an hour of it passes R4's limit for one.
var primitives = map[string]*primitive{
	"boolean":      {scalarKind, isBoolean, "is true or false, without quotes", false},
	"integer":      {scalarKind, isInteger, "is a whole number of 32 bits, without quotes", false},
	"unsignedInt":  {scalarKind, isUnsigned, "is a whole number from 0 to 2147483647, without quotes", false},
	"positiveInt":  {scalarKind, isPositive, "is a whole number from 1 to 2147483647, without quotes", false},
	"decimal":      {scalarKind, isNumber, "is a number, without quotes", false},
	"string":       {textKind, hasInk, "is a text that is not blank", false},
	"markdown":     {textKind, hasInk, "is a text that is not blank", false},
	"code":         {textKind, isCode, "is a code: no blanks at its ends, single ones inside", true},
	"id":           {textKind, idForm.Match, "is an id; an id has 1 to 64 characters A-Z a-z 0-9 - .", true},
	"uri":          {textKind, hasNoBlank, "is a URI, without blanks", false},
	"url":          {textKind, hasNoBlank, "is a URL, without blanks", false},
	"canonical":    {textKind, hasNoBlank, "is a canonical URL, without blanks", false},
	"oid":          {textKind, isOID, "is an OID: urn:oid: and numbers with dots between", false},
	"uuid":         {textKind, isUUID, "is a UUID: urn:uuid: and 32 lower-case hexadecimal digits in five groups", false},
	"date":         {textKind, isDate, "is a date: YYYY, YYYY-MM or YYYY-MM-DD", false},
	"dateTime":     {textKind, isDateTime, "is a dateTime: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a zone", true},
	"instant":      {textKind, isInstant, "is an instant: YYYY-MM-DDThh:mm:ss with a zone", true},
	"time":         {textKind, isTime, "is a time: hh:mm:ss", false},
	"base64Binary": {textKind, isBase64, "is base64", false},
	"xhtml":        {textKind, isDiv, "is XHTML in one div element", false},
}

// holds reports whether a value has the form of the type.
func (p *primitive) holds(v *value) bool {
	if v.kind != p.kind {
		return false
	}
	if p.kind == scalarKind {
		return p.ok(v.raw)
	}
	inner := v.raw[1 : len(v.raw)-1]
	if bytes.IndexByte(inner, '\\') >= 0 {
		inner = []byte(v.text())
	}
	return p.ok(inner)
}

func isBoolean(b []byte) bool { return string(b) == "true" || string(b) == "false" }

// isNumber tells a number from true, false and null: the JSON is known to be
// valid, and R4's decimals are JSON's numbers.
func isNumber(b []byte) bool { return b[0] == '-' || isDigit(b[0]) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

const maxInteger = "2147483647"

func isUnsigned(b []byte) bool {
	for _, c := range b {
		if !isDigit(c) {
			return false
		}
	}
	return len(b) < len(maxInteger) || len(b) == len(maxInteger) && string(b) <= maxInteger
}

func isPositive(b []byte) bool { return isUnsigned(b) && b[0] != '0' }

func isInteger(b []byte) bool {
	return isUnsigned(bytes.TrimPrefix(b, []byte("-"))) || string(b) == "-2147483648"
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func hasInk(b []byte) bool {
	for _, c := range b {
		if !isBlank(c) {
			return true
		}
	}
	return false
}

func hasNoBlank(b []byte) bool { return len(b) > 0 && !bytes.ContainsAny(b, " \t\r\n") }

func isCode(b []byte) bool {
	if len(b) == 0 || isBlank(b[0]) || isBlank(b[len(b)-1]) {
		return false
	}
	for i := 1; i < len(b); i++ {
		if isBlank(b[i]) && isBlank(b[i-1]) {
			return false
		}
	}
	return true
}

func isOID(b []byte) bool {
	rest, ok := strings.CutPrefix(string(b), "urn:oid:")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) < 2 || len(parts[0]) != 1 || parts[0] > "2" {
		return false
	}
	for _, part := range parts {
		if part == "" || part[0] == '0' && len(part) > 1 || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return true
}

func isUUID(b []byte) bool {
	rest, ok := strings.CutPrefix(string(b), "urn:uuid:")
	if !ok || len(rest) != 36 {
		return false
	}
	for i, c := range []byte(rest) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !isDigit(c) && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isBase64(b []byte) bool {
	digits := 0
	padding := 0
	for _, c := range b {
		switch {
		case isBlank(c):
		case c == '=':
			padding++
		case padding > 0 || !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '+' && c != '/':
			return false
		default:
			digits++
		}
	}
	return digits > 0 && padding <= 2 && (digits+padding)%4 == 0
}

func isDiv(b []byte) bool {
	b = bytes.TrimSpace(b)
	return bytes.HasPrefix(b, []byte("<div")) && (bytes.HasSuffix(b, []byte("</div>")) || bytes.HasSuffix(b, []byte("/>")))
}

// number reads digits that stand at b[from:to]; ok is false when others do.
func number(b []byte, from, to int) (n int, ok bool) {
	for _, c := range b[from:to] {
		if !isDigit(c) {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}

// isDate checks the calendar too: there is no 30th of February.
func isDate(b []byte) bool {
	if len(b) != 4 && (len(b) != 7 || b[4] != '-') && (len(b) != 10 || b[4] != '-' || b[7] != '-') {
		return false
	}
	year, ok := number(b, 0, 4)
	if !ok || year == 0 {
		return false
	}
	if len(b) == 4 {
		return true
	}
	month, ok := number(b, 5, 7)
	if !ok || month < 1 || month > 12 {
		return false
	}
	if len(b) == 7 {
		return true
	}
	day, ok := number(b, 8, 10)
	return ok && day >= 1 && day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// timeLength returns the length of hh:mm:ss with its fraction at the beginning
// of b, 0 when there is none. R4 knows leap seconds.
func timeLength(b []byte) int {
	if len(b) < 8 || b[2] != ':' || b[5] != ':' {
		return 0
	}
	hour, ok1 := number(b, 0, 2)
	minute, ok2 := number(b, 3, 5)
	second, ok3 := number(b, 6, 8)
	if !ok1 || !ok2 || !ok3 || hour > 23 || minute > 59 || second > 60 {
		return 0
	}
	if len(b) == 8 || b[8] != '.' {
		return 8
	}
	end := 9
	for end < len(b) && isDigit(b[end]) {
		end++
	}
	if end == 9 {
		return 0
	}
	return end
}

func isTime(b []byte) bool { return len(b) > 0 && timeLength(b) == len(b) }

func isInstant(b []byte) bool {
	if len(b) < len("2006-01-02T15:04:05Z") || b[10] != 'T' || !isDate(b[:10]) {
		return false
	}
	rest := b[11:]
	n := timeLength(rest)
	return n > 0 && isZone(rest[n:])
}

// isZone accepts Z and offsets up to 14 hours.
func isZone(b []byte) bool {
	if len(b) == 1 {
		return b[0] == 'Z'
	}
	if len(b) != 6 || b[0] != '+' && b[0] != '-' || b[3] != ':' {
		return false
	}
	hours, ok1 := number(b, 1, 3)
	minutes, ok2 := number(b, 4, 6)
	return ok1 && ok2 && (hours < 14 && minutes < 60 || hours == 14 && minutes == 0)
}

func isDateTime(b []byte) bool { return isDate(b) || isInstant(b) }

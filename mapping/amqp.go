package mapping

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"auscult/mapping/internal/dotnet"
	"auscult/schemas"
)

// The type codes of AMQP 1.0 that properties come with. A first byte of 0x80
// to 0xBF cannot begin UTF-8 text, so such a code with the exact length is AMQP
// without doubt. Codes below are letters too: they are believed only in headers
// that a hub itself writes.
const (
	amqpDescribed = 0x00
	amqpNull      = 0x40
	amqpTrue      = 0x41
	amqpFalse     = 0x42
	amqpUint0     = 0x43
	amqpUlong0    = 0x44
	amqpUbyte     = 0x50
	amqpByte      = 0x51
	amqpSmallUint = 0x52
	amqpSmallUlng = 0x53
	amqpSmallInt  = 0x54
	amqpSmallLong = 0x55
	amqpBool      = 0x56
	amqpUshort    = 0x60
	amqpShort     = 0x61
	amqpUint      = 0x70
	amqpInt       = 0x71
	amqpFloat     = 0x72
	amqpChar      = 0x73
	amqpUlong     = 0x80
	amqpLong      = 0x81
	amqpDouble    = 0x82
	amqpTimestamp = 0x83
	amqpUUID      = 0x98
	amqpBinary8   = 0xA0
	amqpString8   = 0xA1
	amqpSymbol8   = 0xA3
	amqpBinary32  = 0xB0
	amqpString32  = 0xB1
	amqpSymbol32  = 0xB3

	// descriptorDateTime marks a described value that counts ticks of UTC.
	descriptorDateTime = "com.microsoft:datetime-offset"
)

// propertyOf reads a header: an AMQP value when it is one, else text.
func propertyOf(name string, v []byte) Property {
	if len(v) > 0 {
		typed := v[0] >= amqpUlong || v[0] == amqpDescribed || strings.HasPrefix(name, prefixIoTHub)
		if p, ok := amqpValue(v); ok && typed {
			p.Name = name
			return p
		}
	}
	return textProperty(name, v)
}

// textProperty reads plain bytes; what is not UTF-8 becomes U+FFFD.
func textProperty(name string, v []byte) Property {
	if !utf8.Valid(v) {
		return Property{Name: name, Text: strings.ToValidUTF8(string(v), "\uFFFD")}
	}
	return Property{Name: name, Text: alias(v)}
}

// amqpValue decodes v when it is exactly one AMQP value.
func amqpValue(v []byte) (Property, bool) {
	code, rest := v[0], v[1:]
	switch code {
	case amqpDescribed:
		return describedValue(rest)
	case amqpBinary8, amqpString8, amqpSymbol8:
		if len(rest) >= 1 && int(rest[0]) == len(rest)-1 {
			return amqpText(rest[1:])
		}
		return Property{}, false
	case amqpBinary32, amqpString32, amqpSymbol32:
		if len(rest) >= 4 && int64(binary.BigEndian.Uint32(rest)) == int64(len(rest)-4) {
			return amqpText(rest[4:])
		}
		return Property{}, false
	}
	if width, known := amqpWidth(code); !known || len(rest) != width {
		return Property{}, false
	}
	return amqpFixed(code, rest), true
}

// amqpText accepts strings; binary that is no text is not ours to read.
func amqpText(b []byte) (Property, bool) {
	return Property{Text: alias(b)}, utf8.Valid(b)
}

// describedValue reads a descriptor and the value it describes.
func describedValue(v []byte) (Property, bool) {
	if len(v) < 2 || v[0] != amqpSymbol8 || len(v) < 3+int(v[1]) {
		return Property{}, false
	}
	descriptor := v[2 : 2+int(v[1])]
	value := v[2+len(descriptor):]
	if value[0] == amqpDescribed { // one level is all there is
		return Property{}, false
	}
	p, ok := amqpValue(value)
	if ok && p.Kind == PropertyInt && string(descriptor) == descriptorDateTime && p.Int >= 0 && p.Int <= int64(schemas.MaxTicks) {
		p = Property{Kind: PropertyTime, Time: schemas.Ticks(p.Int)}
	}
	return p, ok
}

// amqpWidth returns how many bytes follow the code of a value of fixed width.
func amqpWidth(code byte) (width int, known bool) {
	switch code {
	case amqpNull, amqpTrue, amqpFalse, amqpUint0, amqpUlong0:
		return 0, true
	case amqpUbyte, amqpByte, amqpSmallUint, amqpSmallUlng, amqpSmallInt, amqpSmallLong, amqpBool:
		return 1, true
	case amqpUshort, amqpShort:
		return 2, true
	case amqpUint, amqpInt, amqpFloat, amqpChar:
		return 4, true
	case amqpUlong, amqpLong, amqpDouble, amqpTimestamp:
		return 8, true
	case amqpUUID:
		return 16, true
	}
	return 0, false
}

// amqpFixed reads a value of fixed width; b has it.
func amqpFixed(code byte, b []byte) Property {
	var u uint64
	for _, c := range b[:min(len(b), 8)] {
		u = u<<8 | uint64(c)
	}
	number := func(n int64) Property { return Property{Kind: PropertyInt, Int: n} }
	switch code {
	case amqpNull:
		return Property{Kind: PropertyNull}
	case amqpTrue:
		return Property{Kind: PropertyBool, Int: 1}
	case amqpFalse:
		return Property{Kind: PropertyBool}
	case amqpBool:
		return Property{Kind: PropertyBool, Int: int64(u)}
	case amqpByte, amqpSmallInt, amqpSmallLong:
		return number(int64(int8(u)))
	case amqpShort:
		return number(int64(int16(u)))
	case amqpInt:
		return number(int64(int32(u)))
	case amqpFloat:
		return Property{Kind: PropertyFloat, Float: float64(math.Float32frombits(uint32(u)))}
	case amqpDouble:
		return Property{Kind: PropertyFloat, Float: math.Float64frombits(u)}
	case amqpChar:
		return Property{Text: string(rune(u))}
	case amqpTimestamp:
		return timestampProperty(int64(u))
	case amqpUUID:
		return Property{Text: uuidText(b)}
	case amqpUlong:
		if u > math.MaxInt64 {
			return Property{Text: strconv.FormatUint(u, 10)}
		}
	}
	return number(int64(u))
}

// timestampProperty reads milliseconds since 1970; what no record can hold
// stays a number.
func timestampProperty(ms int64) Property {
	t, ok := dotnet.TicksOfUnixMilli(ms)
	if !ok {
		return Property{Kind: PropertyInt, Int: ms}
	}
	return Property{Kind: PropertyTime, Time: t}
}

func uuidText(b []byte) string {
	const hex = "0123456789abcdef"
	text := make([]byte, 0, 36)
	for i, c := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = append(text, hex[c>>4], hex[c&15])
	}
	return string(text)
}

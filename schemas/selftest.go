package schemas

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/linkedin/goavro/v2"
)

// SelfTest proves that the hand-written encoding is the one the schemas
// describe: goavro must read what Append wrote, and write what Read reads, to
// equal values. It runs at start; an error is our own bug, and no record may be
// written.
func SelfTest() error {
	return errors.Join(
		selfTest[Measurement](), selfTest[Identity](), selfTest[Window](),
		selfTest[Score](), selfTest[Resource](), selfTest[DeadLetter]())
}

func selfTest[T any, P Record[T]]() error {
	empty, full := new(T), new(T)
	n := 0
	fill(reflect.ValueOf(full).Elem(), &n)
	for _, v := range []*T{empty, full} {
		if err := agree[T, P](v); err != nil {
			return fmt.Errorf("testing the encoding of %s against its schema: %w", P(v).schema().record, err)
		}
	}
	return nil
}

// agree compares both directions for one value.
func agree[T any, P Record[T]](v *T) error {
	s := P(v).schema()
	want := native(reflect.ValueOf(v).Elem())
	ours := P(v).Append(nil)
	read, rest, err := s.codec.NativeFromSingle(ours)
	if err != nil {
		return fmt.Errorf("goavro reading what Append wrote: %w", err)
	}
	if len(rest) > 0 || !reflect.DeepEqual(read, want) {
		return errors.New("goavro reads other values than Append wrote")
	}
	theirs, err := s.codec.SingleFromNative(nil, want)
	if err != nil {
		return fmt.Errorf("goavro writing: %w", err)
	}
	if !bytes.Equal(theirs, ours) {
		return errors.New("goavro writes other bytes than Append")
	}
	back := new(T)
	if err := P(back).Read(theirs); err != nil {
		return err
	}
	if !reflect.DeepEqual(native(reflect.ValueOf(back).Elem()), want) {
		return errors.New("Read reads other values than goavro wrote")
	}
	return nil
}

// native returns v as goavro has it: records as maps by field name, enums as
// their symbols. A field that the schema lacks makes the comparison fail, so
// goavro cannot drop it silently.
func native(v reflect.Value) any {
	if s, ok := v.Interface().(fmt.Stringer); ok && v.Kind() == reflect.Int32 {
		return s.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			fields[fieldName(v.Type().Field(i).Name)] = native(v.Field(i))
		}
		return fields
	case reflect.Slice:
		return nativeList(v)
	case reflect.Int32:
		return int32(v.Int())
	case reflect.Int64:
		return v.Int()
	}
	return v.Interface()
}

func nativeList(v reflect.Value) any {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		if v.IsNil() {
			return nil
		}
		return goavro.Union("bytes", v.Bytes())
	}
	list := make([]any, v.Len())
	for i := range list {
		list[i] = native(v.Index(i))
	}
	return list
}

// fieldName returns the schema's name of a Go field: BirthDate is birthDate, ID
// is id, SHA256 is sha256.
func fieldName(name string) string {
	if strings.IndexFunc(name, unicode.IsLower) < 0 {
		return strings.ToLower(name)
	}
	return strings.ToLower(name[:1]) + name[1:]
}

// fill gives each field of v another value than all fields before it; enums get
// their second symbol.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Int32:
		v.SetInt(-int64(*n) * 1_000)
		if _, ok := v.Interface().(fmt.Stringer); ok {
			v.SetInt(1)
		}
	case reflect.Int64:
		v.SetInt(-int64(*n) * 1_000_000_007)
	}
}

package jmespath

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"auscult/mapping/internal/dotnet"
)

// naiveCall answers a function for the naive evaluator.
func naiveCall(name string, args []any) any {
	for _, arg := range args {
		if _, ok := arg.(func(any) any); ok && !slices.Contains([]string{"map", "sort_by", "min_by", "max_by", "contains", "merge"}, name) {
			panic(failure("no place for an expression"))
		}
	}
	switch name {
	case "add", "subtract", "multiply", "divide", "pow":
		return naiveArithmetic(name, args[0], args[1])
	case "abs", "ceil", "floor", "avg", "sum", "max", "min":
		return naiveNumber(name, args[0])
	case "contains", "starts_with", "ends_with", "join", "insertString", "fromUnixTimestamp", "fromUnixTimestampMs":
		return naiveString(name, args)
	case "map", "sort_by", "min_by", "max_by":
		return naiveBy(name, args)
	}
	return naiveOther(name, args)
}

func naiveArithmetic(name string, a, b any) any {
	i, ok1 := a.(int64)
	k, ok2 := b.(int64)
	if !ok1 || !ok2 {
		x, y := naiveFloat(a), naiveFloat(b)
		return map[string]float64{"add": x + y, "subtract": x - y, "multiply": x * y, "divide": x / y, "pow": power(x, y)}[name]
	}
	switch name {
	case "add":
		return i + k
	case "subtract":
		return i - k
	case "multiply":
		return i * k
	case "pow":
		return naiveInt64(power(float64(i), float64(k)))
	}
	if k == 0 || i == math.MinInt64 && k == -1 {
		panic(failure("division"))
	}
	return i / k
}

func naiveInt64(f float64) int64 {
	f = math.RoundToEven(f)
	if math.IsNaN(f) || f >= 0x1p63 || f < -0x1p63 {
		panic(failure("overflow"))
	}
	return int64(f)
}

func naiveNumber(name string, arg any) any {
	if list, ok := arg.([]any); ok && name != "abs" && name != "ceil" && name != "floor" {
		return naiveList(name, list)
	}
	f := naiveFloat(arg)
	switch name {
	case "abs":
		if i, ok := arg.(int64); ok {
			if i != int64(int32(i)) || i == math.MinInt32 {
				panic(failure("overflow"))
			}
			return int64(math.Abs(f))
		}
		return math.Abs(f)
	case "ceil":
		return naiveInt64(math.Ceil(f))
	case "floor":
		return naiveInt64(math.Floor(f))
	}
	panic(failure("no array"))
}

func naiveList(name string, list []any) any {
	total, whole := math.Copysign(0, -1), true
	for _, v := range list {
		if name != "avg" && name != "sum" && naiveType(v) == "string" {
			continue
		}
		total += naiveFloat(v)
		_, isInt := v.(int64)
		whole = whole && isInt
	}
	switch {
	case name == "sum" && math.Abs(math.Mod(total, 1)) <= 100*math.SmallestNonzeroFloat64:
		return naiveInt64(total)
	case name == "sum":
		return total
	case len(list) == 0:
		return absent{}
	case name == "avg":
		return total / float64(len(list))
	}
	best := list[0]
	for _, v := range list {
		if naiveType(v) != naiveType(best) {
			panic(failure("types differ"))
		}
		if (naiveOrder(v, best) > 0) == (name == "max") && naiveOrder(v, best) != 0 {
			best = v
		}
	}
	if naiveType(best) == "string" {
		return naiveText(best)
	}
	if !whole {
		return naiveFloat(best)
	}
	return best
}

// naiveOrder orders numbers exactly, NaN first, and texts by code units.
func naiveOrder(a, b any) int {
	i, ok1 := a.(int64)
	k, ok2 := b.(int64)
	switch {
	case ok1 && ok2:
		return new(big.Int).SetInt64(i).Cmp(big.NewInt(k))
	case naiveType(a) == "string":
		return slices.Compare(units(naiveText(a)), units(naiveText(b)))
	}
	x, y := naiveFloat(a), naiveFloat(b)
	switch {
	case math.IsNaN(x) && !math.IsNaN(y):
		return -1
	case math.IsNaN(y) && !math.IsNaN(x):
		return 1
	}
	return compareExactly(x, y)
}

func mustText(v any) string {
	if naiveType(v) != "string" {
		panic(failure("no text"))
	}
	return naiveText(v)
}

func naiveString(name string, args []any) any {
	switch name {
	case "contains":
		return naiveContains(args[0], args[1])
	case "starts_with":
		return strings.HasPrefix(mustText(args[0]), mustText(args[1]))
	case "ends_with":
		return strings.HasSuffix(mustText(args[0]), mustText(args[1]))
	case "join":
		list, ok := args[1].([]any)
		if !ok {
			panic(failure("no array"))
		}
		var parts []string
		for _, v := range list {
			parts = append(parts, mustText(v))
		}
		return strings.Join(parts, mustText(args[0]))
	case "insertString":
		s, ok1 := args[0].(string)
		part, ok2 := args[1].(string)
		at, ok3 := args[2].(int64)
		all := units(s)
		if !ok1 || !ok2 || !ok3 || at < 0 || at > int64(len(all)) {
			panic(failure("insertString"))
		}
		return string(utf16.Decode(slices.Insert(all, int(at), units(part)...)))
	}
	n, ok := args[0].(int64)
	if name == "fromUnixTimestamp" {
		if n > math.MaxInt64/1000 || n < math.MinInt64/1000 {
			ok = false
		}
		n *= 1000
	}
	ticks, inRange := dotnet.TicksOfUnixMilli(n)
	if !ok || !inRange {
		panic(failure("no time"))
	}
	return instant{ticks}
}

func naiveContains(in, what any) any {
	switch in := in.(type) {
	case instant:
		return false
	case string:
		return strings.Contains(in, naiveText(what))
	case []any:
		if _, ok := what.(func(any) any); ok {
			return false
		}
		return slices.ContainsFunc(in, func(v any) bool { return naiveEqual(v, what) })
	}
	panic(failure("contains"))
}

func naiveBy(name string, args []any) any {
	if name == "map" {
		slices.Reverse(args)
	}
	list, ok1 := args[0].([]any)
	by, ok2 := args[1].(func(any) any)
	if !ok1 || !ok2 || len(list) == 0 && name != "map" && name != "sort_by" {
		panic(failure("arguments"))
	}
	keys := make([]any, len(list))
	for i, v := range list {
		if len(list) > 1 || name == "map" || name == "sort_by" {
			keys[i] = by(v)
		}
	}
	switch name {
	case "map":
		for i := range keys {
			keys[i] = kept(keys[i])
		}
		return keys
	case "sort_by":
		return naiveSortBy(list, keys)
	}
	best := 0
	for i := range list {
		if i > 0 {
			x, y := naiveKey(keys[best]), naiveKey(keys[i])
			if name == "max_by" && !(x > y) || name == "min_by" && !(x < y) {
				best = i
			}
		}
	}
	return list[best]
}

func naiveKey(v any) float64 {
	if naiveType(v) == "string" {
		f, err := strconv.ParseFloat(strings.TrimSpace(naiveText(v)), 64)
		if err != nil {
			panic(failure("no number"))
		}
		return f
	}
	return naiveFloat(v)
}

func naiveSortBy(list, keys []any) any {
	order := make([]int, len(list))
	kinds := map[string]bool{}
	for i, k := range keys {
		order[i] = i
		t := naiveType(k)
		if _, isDate := k.(instant); isDate {
			t = "date"
		}
		kinds[t] = true
	}
	for k := range kinds {
		if len(kinds) > 1 || !slices.Contains([]string{"string", "date", "number"}, k) {
			panic(failure("keys"))
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return naiveNear(keys[a], keys[b]) })
	out := []any{}
	for _, i := range order {
		out = append(out, list[i])
	}
	return out
}

// naiveNear orders as Json.NET does: nearly equal floats are equal.
func naiveNear(a, b any) int {
	if x, ok := a.(instant); ok {
		return compareExactly(float64(x.ticks), float64(b.(instant).ticks))
	}
	x, big1 := a.(*big.Int)
	y, big2 := b.(*big.Int)
	switch {
	case big1 && big2:
		return x.Cmp(y)
	case big1:
		return naiveBig(x, b)
	case big2:
		return -naiveBig(y, a)
	case naiveType(a) == "number":
		_, ok1 := a.(int64)
		_, ok2 := b.(int64)
		if !ok1 || !ok2 {
			return compareFloats(naiveFloat(a), naiveFloat(b))
		}
	}
	return naiveOrder(a, b)
}

func naiveBig(x *big.Int, b any) int {
	if i, ok := b.(int64); ok {
		return x.Cmp(big.NewInt(i))
	}
	whole, _ := big.NewFloat(b.(float64)).Int(nil)
	return x.Cmp(whole)
}

func naiveOther(name string, args []any) any {
	switch name {
	case "not_null":
		for _, v := range args {
			if !isNothing(v) {
				return v
			}
		}
		return absent{}
	case "merge":
		return naiveMergeAll(args)
	case "to_array":
		if _, ok := args[0].([]any); ok {
			return args[0]
		}
		return []any{kept(args[0])}
	case "type":
		return naiveType(args[0])
	case "to_string":
		if naiveType(args[0]) == "string" {
			return args[0]
		}
		return naiveJSON(args[0])
	case "to_number":
		return naiveToNumber(args[0])
	}
	switch v := args[0].(type) {
	case string, instant:
		all := units(naiveText(v))
		if name == "length" {
			return int64(len(all))
		}
		if name == "reverse" {
			slices.Reverse(all)
			return string(utf16.Decode(all))
		}
	case []any:
		switch name {
		case "length":
			return int64(len(v))
		case "reverse":
			v = slices.Clone(v)
			slices.Reverse(v)
			return v
		case "sort":
			return naiveSort(v)
		}
	case members:
		keys, values := []any{}, []any{}
		for _, m := range v {
			keys, values = append(keys, m.name), append(values, m.value)
		}
		switch name {
		case "length":
			return int64(len(v))
		case "keys":
			return keys
		case "values":
			return values
		}
	}
	panic(failure("type"))
}

func naiveToNumber(v any) any {
	switch v := v.(type) {
	case int64, float64, *big.Int:
		return v
	case string:
		s := strings.Trim(v, " \t\n\v\f\r")
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i
		}
		if strings.ContainsAny(s, "_xXpP") || strings.EqualFold(strings.TrimLeft(s, "+-"), "inf") {
			return absent{}
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil || math.IsInf(f, 0) {
			return f
		}
	}
	return absent{}
}

func naiveSort(list []any) any {
	keys := make([]any, len(list))
	for i, v := range list {
		if naiveType(v) != naiveType(list[0]) {
			panic(failure("types differ"))
		}
		switch list[0].(type) {
		case float64:
			keys[i] = naiveFloat(v)
		case int64, *big.Int:
			_ = naiveFloat(list[0])
			f := math.RoundToEven(naiveFloat(v))
			if f != float64(int32(f)) {
				panic(failure("overflow"))
			}
			keys[i] = int64(f)
		default:
			keys[i] = ""
			if v != nil {
				keys[i] = naiveText(v)
			}
		}
	}
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return naiveOrder(keys[a], keys[b]) })
	out := []any{}
	for _, i := range order {
		out = append(out, list[i])
	}
	return out
}

func naiveMergeAll(args []any) any {
	out, ok := args[0].(members)
	if !ok {
		panic(failure("merge"))
	}
	for _, arg := range args[1:] {
		switch arg := arg.(type) {
		case members:
			out = naiveMerge(out, arg)
		case func(any) any:
		default:
			panic(failure("merge"))
		}
	}
	return out
}

func naiveMerge(a, b members) members {
	out := slices.Clone(a)
	for _, m := range b {
		i := slices.IndexFunc(out, func(x member) bool { return x.name == m.name })
		if i < 0 {
			out = append(out, m)
			continue
		}
		switch old := out[i].value.(type) {
		case members:
			if v, ok := m.value.(members); ok {
				out[i].value = naiveMerge(old, v)
				continue
			}
		case []any:
			if v, ok := m.value.([]any); ok {
				out[i].value = append(slices.Clone(old), v...)
				continue
			}
		}
		if m.value != nil {
			out[i].value = m.value
		}
	}
	return out
}

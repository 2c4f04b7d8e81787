package jmespath

import (
	"cmp"
	"math"

	"auscult/mapping/internal/tape"
)

var numberFunctions = []function{
	{name: "abs", least: 1, scalar: true, run: abs},
	{name: "add", least: 2, scalar: true, run: add},
	{name: "avg", least: 1, scalar: true, needs: tape.KeepElements, run: avg},
	{name: "ceil", least: 1, scalar: true, run: ceil},
	{name: "divide", least: 2, scalar: true, run: divide},
	{name: "floor", least: 1, scalar: true, run: floor},
	{name: "max", least: 1, scalar: true, needs: tape.KeepElements, run: maximum},
	{name: "min", least: 1, scalar: true, needs: tape.KeepElements, run: minimum},
	{name: "multiply", least: 2, scalar: true, run: multiply},
	{name: "pow", least: 2, scalar: true, run: pow},
	{name: "subtract", least: 2, scalar: true, run: subtract},
	{name: "sum", least: 1, scalar: true, needs: tape.KeepElements, run: sum},
}

// operands are two numbers: integers when both are, else the bits of floats.
type operands struct {
	integers bool
	a, b     int64
}

func (o operands) floats() (x, y float64) {
	return math.Float64frombits(uint64(o.a)), math.Float64frombits(uint64(o.b))
}

func (e *Evaluator) operands(c call) (o operands, err error) {
	a, b := c.values[0], c.values[1]
	switch {
	case !a.isNumber():
		return o, c.wrong(0, "a number")
	case !b.isNumber():
		return o, c.wrong(1, "a number")
	case a.kind == bigInteger || b.kind == bigInteger:
		return o, c.errBig()
	case a.kind == integer && b.kind == integer:
		return operands{integers: true, a: e.int(a), b: e.int(b)}, nil
	}
	return operands{a: ofFloat(e.float(a)).number, b: ofFloat(e.float(b)).number}, nil
}

func add(e *Evaluator, c call) (value, error) {
	o, err := e.operands(c)
	if o.integers || err != nil {
		return ofInt(o.a + o.b), err
	}
	x, y := o.floats()
	return ofFloat(x + y), nil
}

func subtract(e *Evaluator, c call) (value, error) {
	o, err := e.operands(c)
	if o.integers || err != nil {
		return ofInt(o.a - o.b), err
	}
	x, y := o.floats()
	return ofFloat(x - y), nil
}

func multiply(e *Evaluator, c call) (value, error) {
	o, err := e.operands(c)
	if o.integers || err != nil {
		return ofInt(o.a * o.b), err
	}
	x, y := o.floats()
	return ofFloat(x * y), nil
}

// divide cuts the fraction off when both numbers are integers.
func divide(e *Evaluator, c call) (value, error) {
	o, err := e.operands(c)
	switch {
	case err != nil:
		return value{}, err
	case !o.integers:
		x, y := o.floats()
		return ofFloat(x / y), nil
	case o.b == 0:
		return value{}, c.fail("the integer %d cannot be divided by 0", o.a)
	case o.a == math.MinInt64 && o.b == -1:
		return value{}, c.fail("the result is beyond 64 bits")
	}
	return ofInt(o.a / o.b), nil
}

// pow of integers is an integer, rounded.
func pow(e *Evaluator, c call) (value, error) {
	o, err := e.operands(c)
	if err != nil {
		return value{}, err
	}
	if !o.integers {
		return ofFloat(power(o.floats())), nil
	}
	return c.integer(power(float64(o.a), float64(o.b)))
}

// integer rounds a float to an integer, if it has a place in 64 bits.
func (c call) integer(f float64) (value, error) {
	i, ok := toInt64(f)
	if !ok {
		return value{}, c.fail("the result is beyond 64 bits")
	}
	return ofInt(i), nil
}

// number returns the one argument as a float.
func (e *Evaluator) number(c call) (float64, error) {
	switch v := c.values[0]; {
	case !v.isNumber():
		return 0, c.wrong(0, "a number")
	case v.kind == bigInteger:
		return 0, c.errBig()
	default:
		return e.float(v), nil
	}
}

// abs takes integers of 32 bits only, as in the connector's library.
func abs(e *Evaluator, c call) (value, error) {
	f, err := e.number(c)
	if err != nil || c.values[0].kind == float {
		return ofFloat(math.Abs(f)), err
	}
	i := e.int(c.values[0])
	if i <= math.MinInt32 || i > math.MaxInt32 {
		return value{}, c.fail("the integer %d is beyond 32 bits", i)
	}
	return ofInt(max(i, -i)), nil
}

func ceil(e *Evaluator, c call) (value, error) {
	f, err := e.number(c)
	if err != nil {
		return value{}, err
	}
	return c.integer(math.Ceil(f))
}

func floor(e *Evaluator, c call) (value, error) {
	f, err := e.number(c)
	if err != nil {
		return value{}, err
	}
	return c.integer(math.Floor(f))
}

// total adds up an array of numbers. It begins with the negative zero, which
// leaves every number as it is: the average of -0.0 is -0.0.
func (e *Evaluator) total(c call) (total float64, count int, err error) {
	const wanted = "an array of numbers"
	total = math.Copysign(0, -1)
	list, err := c.array(0, wanted)
	if err != nil {
		return 0, 0, err
	}
	it := e.elements(list)
	for {
		v, ok := it.element()
		switch {
		case !ok:
			return total, count, nil
		case !v.isNumber():
			return 0, 0, c.wrongElement(0, v, wanted)
		case v.kind == bigInteger:
			return 0, 0, c.errBig()
		}
		total += e.float(v)
		count++
	}
}

func avg(e *Evaluator, c call) (value, error) {
	total, count, err := e.total(c)
	if count == 0 || err != nil {
		return value{}, err
	}
	return ofFloat(total / float64(count)), nil
}

// sum adds floats, and is an integer when the total is whole, whatever the
// numbers are.
func sum(e *Evaluator, c call) (value, error) {
	const almostWhole = 100 * math.SmallestNonzeroFloat64
	total, _, err := e.total(c)
	if err != nil {
		return value{}, err
	}
	if math.Abs(math.Mod(total, 1)) <= almostWhole {
		return c.integer(total)
	}
	return ofFloat(total), nil
}

func maximum(e *Evaluator, c call) (value, error) { return e.extreme(c, 1) }

func minimum(e *Evaluator, c call) (value, error) { return e.extreme(c, -1) }

// extreme returns the greatest element of an array of numbers or texts, or with
// direction -1 the least. One float makes all of them floats.
func (e *Evaluator) extreme(c call, direction int) (value, error) {
	const wanted = "an array of numbers or an array of texts"
	list, err := c.array(0, wanted)
	if err != nil {
		return value{}, err
	}
	var best value
	floats := false
	for it := e.elements(list); ; {
		v, ok := it.element()
		if !ok {
			break
		}
		switch {
		case v.kind == bigInteger:
			return value{}, c.errBig()
		case !v.isNumber() && !v.isText(), best.kind != missing && best.isNumber() != v.isNumber():
			return value{}, c.wrongElement(0, v, wanted)
		}
		floats = floats || v.kind == float
		v = e.settled(v)
		if best.kind == missing || e.order(v, best)*direction > 0 {
			best = v
		}
	}
	if floats && best.kind == integer {
		return ofFloat(e.float(best)), nil
	}
	return best, nil
}

// order orders two numbers or two settled texts.
func (e *Evaluator) order(a, b value) int {
	switch {
	case a.isText():
		return compareUTF16(e.textOf(a), e.textOf(b))
	case a.kind == integer && b.kind == integer:
		return cmp.Compare(e.int(a), e.int(b))
	}
	return cmp.Compare(e.float(a), e.float(b))
}

package jmespath

import (
	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/tape"
	"auscult/schemas"
)

// toNode puts a value on the tape, if it is not there.
func (e *Evaluator) toNode(v value) uint32 {
	if v.place == onTape {
		return v.at()
	}
	switch v.kind {
	case array, projection:
		return e.arrayNode(v)
	case object:
		return e.objectNode(v)
	case text:
		return e.t.AddText(e.textOf(v))
	case date:
		return e.t.AddDate(dotnet.Instant{Ticks: schemas.Ticks(v.number), Zone: v.zone})
	case integer:
		return e.t.AddInt(v.number)
	case bigInteger:
		return e.t.AddBigInt(e.digits(v))
	case float:
		return e.t.AddFloat(e.float(v))
	case boolean:
		if e.bool(v) {
			return e.t.AddWord(tape.True)
		}
		return e.t.AddWord(tape.False)
	}
	return e.t.AddWord(tape.Null)
}

// arrayNode puts the elements on the tape first: an array must be added in one
// go.
func (e *Evaluator) arrayNode(v value) uint32 {
	base := len(e.nodes)
	it := e.elements(v)
	for {
		item, ok := it.element()
		if !ok {
			break
		}
		e.spend(costOfNode)
		e.nodes = append(e.nodes, e.toNode(item))
	}
	a := e.t.AddArray()
	for _, i := range e.nodes[base:] {
		e.t.AddElement(a, i)
	}
	e.nodes = e.nodes[:base]
	return a
}

func (e *Evaluator) objectNode(v value) uint32 {
	base := len(e.nodes)
	it := e.members(v)
	for {
		_, item, ok := it.next()
		if !ok {
			break
		}
		e.spend(costOfNode)
		e.nodes = append(e.nodes, e.toNode(item))
	}
	o := e.t.AddObject()
	it = e.members(v)
	for _, i := range e.nodes[base:] {
		name, _, ok := it.next()
		if !ok {
			break
		}
		e.t.AddMember(o, i, e.textOf(name))
	}
	e.nodes = e.nodes[:base]
	return o
}

package jmespath

import (
	"fmt"
	"strings"
)

// textArguments are the functions whose argument, of that number, mostly is a
// text that the author writes.
var textArguments = map[string]int{"contains": 1, "ends_with": 1, "insertString": 1, "join": 0, "starts_with": 1}

// Misquoted returns the names in double quotes that probably were meant as
// texts: what a member is compared with, and what a function looks for. The fix
// has single quotes.
func (x *Expr) Misquoted() []Fault {
	var found []Fault
	x.root.walk(func(n *node) {
		switch {
		case n.op >= opEqual && n.op <= opNotEqual:
			if n.right.quoted && n.left.op != opLiteral {
				found = append(found, x.misquoted(n.right))
			} else if n.left.quoted && isPlainName(n.left.name) && n.right.op != opLiteral {
				found = append(found, x.misquoted(n.left))
			}
		case n.op == opCall:
			if i, ok := textArguments[n.name]; ok && n.args[i].quoted {
				found = append(found, x.misquoted(n.args[i]))
			}
		}
	})
	return found
}

// misquoted tells about the quoted name n.
func (x *Expr) misquoted(n *node) Fault {
	end := n.at + 1
	for x.text[end] != '"' {
		if x.text[end] == '\\' {
			end++
		}
		end++
	}
	text := "'" + strings.ReplaceAll(n.name, "'", `\'`) + "'"
	return Fault{
		At:      n.at,
		Message: fmt.Sprintf("%s is the member of that name; a text is written %s", x.text[n.at:end+1], text),
		Fix:     x.text[:n.at] + text + x.text[end+1:],
	}
}

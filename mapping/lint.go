package mapping

import (
	"fmt"
	"slices"
	"strings"

	"auscult/internal/mapfile"
	"auscult/mapping/internal/dotnet"
	"auscult/mapping/internal/jmespath"
	"auscult/mapping/internal/jsonpath"
)

// Lint is something that a mapping may say, but that its author hardly meant.
type Lint = mapfile.Lint

// LintRule is a rule by which Device.Lints judges.
type LintRule struct{ Name, Doc string }

// Lints returns what is doubtful in the mapping, in the order of its file.
func (d *Device) Lints() []Lint { return slices.Clone(d.lints) }

// LintRules returns all rules.
func LintRules() []LintRule {
	all := make([]LintRule, len(lintRules))
	for i := range lintRules {
		all[i] = lintRules[i].LintRule
	}
	return all
}

// lintRule is a rule and its check of one template; nil for noTemplates, which is
// about the file.
type lintRule struct {
	LintRule
	check func(*linter, *draft)
}

const noTemplates = "no-templates"

var lintRules = []lintRule{
	{LintRule{noTemplates, "The file has no templates: nothing is made of any message."}, nil},
	{LintRule{"template-type-spelling", "A template type is written in a way that the connector refuses."}, (*linter).spelling},
	{LintRule{"ignored-member", "A member stands where nothing reads it."}, (*linter).ignoredMembers},
	{LintRule{"ignored-expression", "An expression is given that this type of template replaces by its own."}, (*linter).ignoredExpressions},
	{LintRule{"blank-name", "A type or value has a blank name, which no FHIR mapping can refer to."}, (*linter).blankNames},
	{LintRule{"date-like-name", "A name looks like a date and is written as one in the measurements."}, (*linter).dateNames},
	{LintRule{"duplicate-value-name", "Two values of a template have one name."}, (*linter).duplicateValues},
	{LintRule{"duplicate-template", "A template repeats another: each match gives its measurement twice."}, (*linter).duplicates},
	{LintRule{"conflicting-templates", "Two templates make one type of the same match, with different devices or times."}, (*linter).conflicts},
	{LintRule{"reads-otherwise", "A part of an expression is read otherwise than it looks."}, (*linter).doubts},
	{LintRule{"filter-never-holds", "The conditions of a filter contradict each other."}, (*linter).contradictions},
	{LintRule{"filter-without-scan", "A filter without .. tests the properties of an object, where it never holds."}, (*linter).filtersOnObjects},
	{LintRule{"scan-finds-copy", "A scan of the whole message finds the match a second time, as matchedToken."}, (*linter).scans},
	{LintRule{"outside-match", "An expression leads out of the match, which is all that it can see."}, (*linter).outsideMatch},
	{LintRule{"integer-division", "A division of integers drops its fraction."}, (*linter).divisions},
	{LintRule{"missing-argument", "An optional value is computed from what may be missing, which fails the measurement."}, (*linter).missingArguments},
	{LintRule{"not-in-message", "A path begins with a name that no message has at its root."}, (*linter).notInMessage},
}

// draft is what the lints see of a template: the file, not what it compiles to.
type draft struct {
	d         *dialect
	container *mapfile.Fields
	in        *mapfile.Fields
	name      string // the type
	match     *source
	sources   []*source // the other expressions
	values    []*mapfile.Fields
	objects   []*mapfile.Fields // expressions that are objects
}

// pointer says which template it is.
func (d *draft) pointer() string { return d.container.Pointer }

// source returns the expression of a field, or nil.
func (d *draft) source(name string) *source {
	for _, s := range d.sources {
		if s.name == name {
			return s
		}
	}
	return nil
}

// linter judges the templates of a file.
type linter struct {
	report    *mapfile.Report
	rule      string
	enveloped bool // the file is written for messages in an envelope
	seen      map[string]*draft
}

// lint returns the lints of a file that loads.
func lint(report *mapfile.Report, drafts []*draft) []Lint {
	for _, d := range drafts {
		for _, s := range d.all() {
			s.parse()
		}
	}
	l := &linter{report: report, enveloped: slices.ContainsFunc(drafts, (*draft).enveloped)}
	if len(drafts) == 0 {
		report.AddLint(noTemplates, 0, "/template", "the mapping has no templates: nothing is made of any message", "add templates")
	}
	for _, rule := range lintRules {
		l.rule, l.seen = rule.Name, map[string]*draft{}
		for _, d := range drafts {
			if rule.check != nil {
				rule.check(l, d)
			}
		}
	}
	return report.Lints()
}

// add reports at a value.
func (l *linter) add(v *mapfile.Value, pointer, message, fix string) {
	l.report.AddLint(l.rule, v.At, pointer, message, fix)
}

// addIn reports at a byte of an expression.
func (l *linter) addIn(s *source, at int, message, fix string) {
	l.report.AddLint(l.rule, l.report.Inside(s.value, at), s.pointer, s.name+": "+message, fix)
}

func (l *linter) spelling(d *draft) {
	v, pointer := d.container.Get(container.By)
	if instead, ok := d.container.Tolerated(container.By); ok {
		l.add(v, pointer, fmt.Sprintf("the connector does not know %s", v.Text), "write "+instead)
	}
}

// ignoredMembers finds members at the wrong level. Others may be remarks.
func (l *linter) ignoredMembers(d *draft) {
	for _, m := range d.container.Undescribed() {
		if describes(d.d.template, m.Name) {
			l.report.AddLint(l.rule, m.At, mapfile.Join(d.pointer(), m.Name), m.Name+" has no effect here", "move it into template")
		}
	}
	for _, o := range d.objects {
		for _, m := range o.Undescribed() {
			fix := "remove it"
			if near := mapfile.Nearest(m.Name, []string{"value", "language"}); near != "" {
				fix = "write " + near
			} else if !describes(d.d.value, m.Name) && !describes(d.d.template, m.Name) {
				continue
			}
			l.report.AddLint(l.rule, m.At, mapfile.Join(o.Pointer, m.Name), m.Name+" has no effect in an expression", fix)
		}
	}
}

// describes reports whether a definition has a member of that name.
func describes(d *mapfile.Definition, name string) bool {
	return slices.ContainsFunc(d.Fields, func(f mapfile.Field) bool { return strings.EqualFold(f.Name, name) })
}

func (l *linter) ignoredExpressions(d *draft) {
	if d.d.device == "" {
		return
	}
	for name, fixed := range map[string][]string{deviceField: {d.d.device}, timeField: d.d.times} {
		if v, pointer := d.in.Get(name); v != nil {
			message := fmt.Sprintf("%s has no effect: it is %s in this type of template", name, strings.Join(fixed, ", then "))
			l.add(v, pointer, message, "remove it, or use JsonPathContent")
		}
	}
}

// names calls visit with every name that the template gives.
func (d *draft) names(visit func(f *mapfile.Fields, field string)) {
	visit(d.in, typeNameField)
	for _, v := range d.values {
		visit(v, "valueName")
	}
}

func (l *linter) blankNames(d *draft) {
	d.names(func(f *mapfile.Fields, field string) {
		if v, pointer := f.Get(field); v != nil && strings.TrimSpace(v.Text) == "" {
			l.add(v, pointer, field+" is blank, no FHIR mapping can refer to it", "write a name")
		}
	})
}

func (l *linter) dateNames(d *draft) {
	d.names(func(f *mapfile.Fields, field string) {
		v, pointer := f.Get(field)
		if v != nil && v.Kind == mapfile.Text && dotnet.LooksLikeDate([]byte(v.Text)) {
			l.add(v, pointer, fmt.Sprintf("%s looks like a date and becomes %q", field, nameOf(f, field)), "write another name")
		}
	})
}

func (l *linter) duplicateValues(d *draft) {
	first := map[string]bool{}
	for _, f := range d.values {
		v, pointer := f.Get("valueName")
		name := nameOf(f, "valueName")
		if first[name] {
			l.add(v, pointer, fmt.Sprintf("a second value is called %q: measurements may have both", name), "give it another name, or join the two expressions")
		}
		first[name] = true
	}
}

// matchKey is equal for templates of one type that match the same tokens.
func (d *draft) matchKey() string {
	return fmt.Sprintf("%q %v %d %q", d.name, d.d.whole, d.match.language, strings.TrimSpace(d.match.text))
}

func (l *linter) duplicates(d *draft) {
	var b strings.Builder
	fmt.Fprint(&b, d.matchKey(), d.d.device)
	for _, s := range d.sources {
		fmt.Fprintf(&b, " %q %d %q", s.name, s.language, s.text)
	}
	for _, v := range d.values {
		fmt.Fprintf(&b, " %q", nameOf(v, "valueName"))
	}
	if first := l.seen[b.String()]; first != nil {
		l.add(d.in.Value, d.in.Pointer, "the template repeats "+first.pointer()+": each match gives its measurement twice", "remove one of the two")
		return
	}
	l.seen[b.String()] = d
}

func (l *linter) conflicts(d *draft) {
	first := l.seen[d.matchKey()]
	if first == nil {
		l.seen[d.matchKey()] = d
		return
	}
	for _, field := range []string{deviceField, timeField} {
		a, b := first.source(field), d.source(field)
		if a == nil || b == nil || a.text == b.text && a.language == b.language {
			continue
		}
		message := fmt.Sprintf("%s makes measurements of type %q of the same matches with another %s: %s", first.pointer(), d.name, field, a.text)
		l.add(b.value, b.pointer, message, "use one of the two in both templates, or match different messages")
	}
}

func (l *linter) doubts(d *draft) {
	for _, s := range d.all() {
		if s.path == nil {
			continue
		}
		for _, doubt := range s.path.Doubts {
			fix := "correct the expression"
			if doubt.Fix != "" {
				fix = "write " + doubt.Fix
			}
			l.addIn(s, doubt.At, doubt.Message, fix)
		}
	}
}

// all returns every expression of the template.
func (d *draft) all() []*source { return append([]*source{d.match}, d.sources...) }

// parse reads the expression once more, for the lints.
func (s *source) parse() {
	if s.language == languagePath {
		s.path, _ = jsonpath.Parse(s.text)
	} else {
		s.expr, _ = jmespath.Parse(s.text)
	}
}

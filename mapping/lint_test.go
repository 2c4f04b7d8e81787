package mapping

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// collectionOf wraps templates, each `<type> <members>`. What the members leave
// out of a template is filled in.
func collectionOf(templates ...string) string {
	var all []string
	for _, text := range templates {
		typ, members, _ := strings.Cut(text, " ")
		value := `"$.hr"`
		if strings.HasPrefix(typ, "Calc") {
			value = `"$.matchedToken.hr"`
		}
		for _, field := range [][2]string{
			{"typeName", `"t"`},
			{"typeMatchExpression", `"$..[?(@hr)]"`},
			{"deviceIdExpression", `"$.d"`},
			{"timestampExpression", `"$.t"`},
			{"values", `[{"valueName": "hr", "valueExpression": ` + value + `}]`},
		} {
			name, otherwise := field[0], field[1]
			if strings.Contains(members, `"`+name+`"`) || strings.HasPrefix(typ, "Iot") && (name == "deviceIdExpression" || name == "timestampExpression") {
				continue
			}
			members += fmt.Sprintf(", %q: %s", name, otherwise)
		}
		outer := ""
		if at := strings.Index(members, "} "); strings.HasPrefix(members, "{") {
			outer, members = members[1:at]+", ", members[at+2:]
		}
		all = append(all, fmt.Sprintf(`{"templateType": %q, %s"template": {%s}}`, typ, outer, strings.TrimPrefix(members, ", ")))
	}
	return `{"templateType": "CollectionContent", "template": [` + strings.Join(all, ",\n") + `]}`
}

// TestLintRules: each rule finds what it is for, at its place, and leaves alone
// what is near to it.
func TestLintRules(t *testing.T) {
	const calc, legacy, iot, central = "CalculatedContent ", "JsonPathContent ", "IotJsonPathContent ", "IotCentralJsonPathContent "
	match := func(path string) string { return `"typeMatchExpression": "` + path + `"` }
	device := func(path string) string { return `"deviceIdExpression": "` + path + `"` }
	value := func(members string) string { return `"values": [{"valueName": "v", ` + members + `}]` }
	jmes := func(expression string) string {
		return value(`"valueExpression": {"value": "` + expression + `", "language": "JmesPath"}`)
	}
	for rule, c := range map[string]struct {
		found []string // mappings; the caret stands where the mark is in the file
		marks []string
		fine  []string
	}{
		"template-type-spelling": {
			found: []string{collectionOf("CalculatedContentTemplate "), collectionOf("IotCentralJsonPathContentTemplate ")},
			marks: []string{`"CalculatedContentTemplate"`, `"IotCentralJsonPathContentTemplate"`},
			fine:  []string{collectionOf("JsonPathContentTemplate "), collectionOf("IotJsonPathContentTemplate " + match("$..[?(@Body.hr)]") + "," + value(`"valueExpression": "$.Body.v"`))},
		},
		"ignored-member": {
			found: []string{
				collectionOf(calc + `{"defaultExpressionLanguage": "JmesPath"} `), collectionOf(legacy + `{"DeviceIdExpression": "$.x"} `),
				collectionOf(calc + `"patientIdExpression": {"value": "$.matchedToken.p", "required": true}`), collectionOf(calc + `"patientIdExpression": {"value": "$.matchedToken.p", "lang": "JmesPath"}`),
			},
			marks: []string{`"defaultExpressionLanguage"`, `"DeviceIdExpression"`, `"required"`, `"lang"`},
			fine:  []string{collectionOf(calc + `{"description": "x", "$comment": "y", "device": "z"} `), collectionOf(calc + `"patientIdExpression": {"value": "$.matchedToken.p", "why": "?", "LANGUAGE": 0}`)},
		},
		"ignored-expression": {
			found: []string{collectionOf(iot + match("$..[?(@Body.hr)]") + "," + device("$.d") + "," + value(`"valueExpression": "$.Body.v"`)), collectionOf(central + `"timestampExpression": "$.t"`)},
			marks: []string{`"$.d"`, `"$.t"`},
			fine:  []string{collectionOf(legacy + device("$.d")), collectionOf(central + `"deviceIdExpression": null`)},
		},
		"blank-name": {
			found: []string{collectionOf(calc + `"typeName": " "`), collectionOf(legacy + `"values": [{"valueName": "", "valueExpression": "$.v"}]`)},
			marks: []string{`" "`, `""`},
			fine:  []string{collectionOf(legacy + `"typeName": 0`)},
		},
		"date-like-name": {
			found: []string{collectionOf(legacy + `"typeName": "2020-01-01T00:00:00Z"`)},
			marks: []string{`"2020`},
			fine:  []string{collectionOf(legacy + `"typeName": "2020-01-01"`)},
		},
		"duplicate-value-name": {
			found: []string{collectionOf(legacy + `"values": [{"valueName": "a", "valueExpression": "$.a"}, {"valueExpression": "$.b", "valueName": "a"}]`)},
			marks: []string{`"a"}]`},
			fine:  []string{collectionOf(legacy + `"values": [{"valueName": "a", "valueExpression": "$.a"}, {"valueExpression": "$.b", "valueName": "A"}]`)},
		},
		"duplicate-template": {
			found: []string{collectionOf(legacy, legacy+`"typeName" : "t"`)},
			marks: []string{`{"typeName" `},
			fine:  []string{collectionOf(legacy, legacy+`"typeName": "u"`), collectionOf(legacy, legacy+match("$..[?(@rr)]")), collectionOf(legacy, legacy+value(`"valueExpression": "$.v"`))},
		},
		"conflicting-templates": {
			found: []string{collectionOf(legacy, legacy+device("$.e")), collectionOf(calc, calc+`"timestampExpression": {"value": "$.u"}`)},
			marks: []string{`"$.e"`, `"$.u"`},
			fine:  []string{collectionOf(legacy, legacy+device("$.e")+","+match("$..[?(@hr && @x)]")), collectionOf(legacy, legacy+device("$.e")+`,"typeName": "u"`)},
		},
		"reads-otherwise": {
			found: []string{collectionOf(legacy + value(`"valueExpression": "$.a[-1]"`))},
			marks: []string{`[-1]`},
			fine:  []string{collectionOf(legacy + value(`"valueExpression": "$.a[-1:]"`))},
		},
		"filter-never-holds": {
			found: []string{
				collectionOf(legacy + match("$..[?(@a == 'x' && @b && @a == 'y')]")), collectionOf(legacy + match("$..[?(@a == 1 && @a == '1')]")), collectionOf(calc + match("$..[?(@a == 'x' && 'x' != @a)]")),
				collectionOf(legacy + match("$..[?(1 == 'x')]")), collectionOf(legacy + match("$..[?(1 == 2 || @a == 1 && @a === true)]")), collectionOf(legacy + match("$.Body..[?(@a.b[0] == null && @a['b'][0] == 5)]")),
			},
			marks: []string{"@a == 'y'", "@a == '1'", "'x' != @a", "1 == 'x'", "@a === true", "@a['b'][0] == 5"},
			fine: []string{
				collectionOf(legacy + match("$..[?(@a == 'x' || @a == 'y')]")), collectionOf(legacy + match("$..[?(@a == 1 && @a == 1.0)]")), collectionOf(legacy + match("$..[?(@a == 'x' && @b == 'y')]")),
				collectionOf(legacy + match("$..[?(@a != 'x' && @a != 'y')]")), collectionOf(legacy + match("$..[?(@a[*] == 'x' && @a[*] == 'y')]")), collectionOf(legacy + match("$..[?(1 == 2 || @a)]")), collectionOf(legacy + match("$..[?(1 == 1.0)]")),
				collectionOf(legacy + match("$..[?(@..a == 'x' && @..a == 'y')]")), collectionOf(legacy + match("$..[?(@a > 5 && @a < 7 && @a == 6)]")),
			},
		},
		"filter-without-scan": {
			found: []string{
				collectionOf(calc + match("$[?(@Body)]")), collectionOf(calc + match("$.Properties[?(@a == 1 || @b)]")),
				collectionOf(calc + match("$.Body[?(@hr && @x)]") + "," + device("$.Body.d")), collectionOf(calc + value(`"valueExpression": "$.Body.a[?(@b)].v"`) + "," + device("$.Body.a.d")),
			},
			marks: []string{"[?(@Body", "[?(@a ==", "[?(@hr && @x", "[?(@b)"},
			fine: []string{
				collectionOf(calc + match("$.Body[?(@hr)]") + "," + device("$.Properties.d")), collectionOf(calc + match("$.Body[?(@hr)]") + "," + device("$.Body[0].d")), collectionOf(calc + match("$..[?(@hr)]")), collectionOf(calc + match("$[?($.Body.hr)]")),
				collectionOf(calc + match("$.Body[?(@hr)]") + `, "patientIdExpression": "$.Body.p", ` + device("$.Properties.d")), collectionOf(legacy + match("$.Body[?(@hr)]")),
			},
		},
		"scan-finds-copy": {
			found: []string{collectionOf(calc + device("$..d")), collectionOf(calc + value(`"valueExpression": {"value": "$..[?(@a == 1)].b"}`))},
			marks: []string{"..d", "..[?(@a"},
			fine:  []string{collectionOf(calc + device("$.Body..d")), collectionOf(calc + device("$.matchedToken..d")), collectionOf(legacy + device("$..d"))},
		},
		"outside-match": {
			found: []string{
				collectionOf(iot), collectionOf(iot + match("$.Body")), collectionOf(central + match("$..[?(@Body.telemetry.hr)]") + "," + value(`"valueExpression": "$.Body.v"`)),
				collectionOf(legacy + device("$.SystemProperties.iothub-connection-device-id")), collectionOf(legacy + device("$.Body.d") + "," + match("$.Body[*]")), collectionOf(legacy + device("$.d") + "," + match("$..[?(@Body.hr)]") + `, "timestampExpression": "$.Body.t", ` + value(`"valueExpression": "$.Body.v"`)),
				collectionOf(legacy + device("$.Properties.d") + "," + match("$..[?(@hr || @rr == 5)]")),
			},
			marks: []string{"$..[?(@hr", "$.Body", "$..[?(@Body.t", "SystemProperties", "Body.d", "d\"", "Properties.d"},
			fine: []string{
				collectionOf(iot + match("$..[?(@Body.hr && @Properties.x)]") + "," + value(`"valueExpression": "$.Body.v"`)), collectionOf(central), collectionOf(legacy),
				collectionOf(legacy + device("$.SystemProperties.x") + "," + match("$..[?(@hr || @Body.hr)]")), collectionOf(legacy + device("$.SystemProperties.x") + "," + match("$..*")), collectionOf(calc + device("$.SystemProperties.x")),
			},
		},
		"no-templates": {
			found: []string{`{"templateType":"CollectionContent","template":[]}`, "null", "  "},
			marks: []string{"{", "null", "  "},
			fine:  []string{collectionOf(calc)},
		},
		"integer-division": {
			found: []string{collectionOf(calc + jmes("divide(matchedToken.hr, `100`)")), collectionOf(calc + jmes("add(`1`, divide(`40`, `50`))"))},
			marks: []string{"divide(", "divide("},
			fine:  []string{collectionOf(calc + jmes("divide(matchedToken.hr, `100.0`)")), collectionOf(calc + jmes("divide(multiply(matchedToken.hr, `1.0`), `100`)")), collectionOf(calc + jmes("to_string(fromUnixTimestamp(divide(matchedToken.hr, `1000`)))"))},
		},
		"missing-argument": {
			found: []string{
				collectionOf(calc + jmes("multiply(matchedToken.x, `2`)")), collectionOf(calc + jmes("multiply(to_number(Body.x), `2`)")), collectionOf(calc + match("$.Body[*]") + "," + jmes("multiply(matchedToken.hr, `2`)")),
				collectionOf(calc + match("$..[?(@hr || @x)]") + "," + jmes("multiply(matchedToken.x, `2`)")),
			},
			marks: []string{"multiply(", "multiply(", "multiply(", "multiply("},
			fine: []string{
				collectionOf(calc + jmes("multiply(matchedToken.hr, `2`)")), collectionOf(calc + jmes("matchedToken.x && multiply(matchedToken.x, `2`)")), collectionOf(calc + match("$..[?(@Body.hr == 5)]") + "," + jmes("multiply(Body.hr, matchedToken.Body.hr)")),
				collectionOf(calc + `"typeMatchExpression": {"value": "to_array(@)[?Body.hr]", "language": "JmesPath"}, ` + jmes("multiply(Body.hr, `2`)")), collectionOf(calc + match("$.Body.hr") + "," + jmes("multiply(matchedToken, `2`)")),
				collectionOf(calc + `"values": [{"valueName": "v", "required": true, "valueExpression": {"value": "multiply(matchedToken.x, ` + "`2`" + `)", "language": "JmesPath"}}]`), collectionOf(calc + jmes("starts_with(d, 'x') && d")),
			},
		},
		"not-in-message": {
			found: []string{collectionOf(calc + device("$.Body.d") + `, "timestampExpression": "$.t"`), collectionOf(calc, legacy+match("$..[?(@Body.hr)]")+","+device("$.Body.d")+`, "timestampExpression": "$.Body.t", `+value(`"valueExpression": "$.Body.v"`)),
				collectionOf(calc + match("$.hr") + "," + device("$.SystemProperties.d") + `, "timestampExpression": "$.matchedToken.t"`)},
			marks: []string{"t\"", "d\"", "hr\""},
			fine:  []string{collectionOf(calc), collectionOf(calc + device("$.Body.d") + `, "timestampExpression": "$.matchedToken.t"`), collectionOf(legacy + match("$.Body") + "," + device("$.d"))},
		},
	} {
		if !slices.ContainsFunc(LintRules(), func(r LintRule) bool { return r.Name == rule && r.Doc != "" }) {
			t.Errorf("%s: no such rule", rule)
		}
		for i, text := range c.found {
			found := lintsOf(t, text, rule)
			if len(found) == 0 {
				t.Errorf("%s: not found in %s: %v", rule, text, lintsOf(t, text, ""))
				continue
			}
			line, caret, _ := strings.Cut(found[0].Excerpt, "\n")
			if at := strings.Index(caret, "^"); !strings.HasPrefix(line[at:], c.marks[i]) || found[0].Fix == "" || found[0].Line < 1 || found[0].Pointer == "" {
				t.Errorf("%s: %v\n%s", rule, found[0], found[0].Excerpt)
			}
		}
		for _, text := range c.fine {
			if found := lintsOf(t, text, rule); len(found) > 0 {
				t.Errorf("%s: found in %s: %v", rule, text, found)
			}
		}
	}
	if len(LintRules()) != 17 {
		t.Errorf("%d rules, not all of them are tested", len(LintRules()))
	}
	for _, r := range LintRules() {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(r.Name) {
			t.Errorf("%s is not in kebab-case", r.Name)
		}
	}
}

// lintsOf returns the lints of a rule, or of all.
func lintsOf(t *testing.T, text, rule string) []Lint {
	t.Helper()
	d, err := LoadDevice([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return slices.DeleteFunc(d.Lints(), func(l Lint) bool { return rule != "" && l.Rule != rule })
}

// TestLintsOfRealMappings lists what is reported on mappings of others. None of
// it may be a thing that their authors would call wrong.
func TestLintsOfRealMappings(t *testing.T) {
	var clean []string
	for _, pattern := range []string{"../examples/*/devicecontent.json", "../../shared/workloads/*.template.json"} {
		files, _ := filepath.Glob(pattern)
		clean = append(clean, files...)
	}
	if len(clean) == 0 {
		t.Fatal("no mappings")
	}
	for _, f := range clean {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d, err := LoadDevice(text)
		if err == nil && len(d.Lints()) > 0 {
			t.Errorf("%s: %v", f, d.Lints())
		}
	}
	reported := map[string]int{}
	seen := map[string]bool{}
	for _, text := range connectorMappings(t) {
		d, err := LoadDevice([]byte(text))
		if err != nil || seen[text] {
			continue
		}
		seen[text] = true
		for _, l := range d.Lints() {
			reported[l.Rule]++
			t.Logf("%v\n%s", l, l.Excerpt)
		}
	}
	const want = "map[duplicate-value-name:4 missing-argument:1 no-templates:1 outside-match:2 reads-otherwise:1 scan-finds-copy:1 template-type-spelling:1]"
	if got := fmt.Sprint(reported); got != want {
		t.Errorf("%d mappings: %s, reviewed were %s", len(seen), got, want)
	}
}

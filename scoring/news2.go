package scoring

import (
	"math"

	"auscult/schemas"
	"auscult/state"
)

// chart is a published scoring table.
type chart struct {
	id, title string
	short     string // of the title
	edition   string // changes whenever an answer may change
	inputs    []chartInput
	scales    bool // knows a second SpO2 scale
	maxScore  int
	score     func(c *chart, in []reading, scale2 bool) state.Result
}

// chartInput is one row of a chart.
type chartInput struct {
	name   string
	label  string // in a rationale
	unit   string // UCUM, for people
	places int    // decimal places that the chart resolves
	bands  []band
	words  map[string]int // sub-score of each word, for inputs that are words
	yes    string         // the words of a condition that holds, or not
	no     string
}

// band gives a sub-score to every value up to and including max, in units of
// the chart's resolution.
type band struct {
	max   int64
	score int
}

const noMax = math.MaxInt64

func bandOf(bands []band, v int64) int {
	for _, b := range bands {
		if v <= b.max {
			return b.score
		}
	}
	return 0
}

// worst returns the highest sub-score that the row can give.
func (c *chartInput) worst() int {
	worst := 0
	for _, b := range c.bands {
		worst = max(worst, b.score)
	}
	for _, s := range c.words {
		worst = max(worst, s)
	}
	return worst
}

// Words of NEWS2.
const (
	wordAir    = "air"
	wordOxygen = "oxygen"
)

// Places of the NEWS2 inputs in its chart.
const (
	newsRR = iota
	newsSpO2
	newsOxygen
	newsSBP
	newsHR
	newsConsciousness
	newsTemp
)

// news2 is the National Early Warning Score 2: Royal College of Physicians,
// London, December 2017, charts 1 and 2. Not for patients under 16 or in
// pregnancy.
var news2 = &chart{
	id: "news2", short: "NEWS2", title: "NEWS2 (RCP 2017)", edition: "1", scales: true, maxScore: 20,
	inputs: []chartInput{
		newsRR:     {name: "rr", label: "RR", unit: "/min", bands: []band{{8, 3}, {11, 1}, {20, 0}, {24, 2}, {noMax, 3}}},
		newsSpO2:   {name: "spo2", label: "SpO2", unit: "%", bands: []band{{91, 3}, {93, 2}, {95, 1}, {noMax, 0}}},
		newsOxygen: {name: "oxygen", label: "inspired gas", words: map[string]int{wordAir: 0, wordOxygen: 2}, yes: wordOxygen, no: wordAir},
		newsSBP:    {name: "sbp", label: "SBP", unit: "mm[Hg]", bands: []band{{90, 3}, {100, 2}, {110, 1}, {219, 0}, {noMax, 3}}},
		newsHR:     {name: "hr", label: "pulse", unit: "/min", bands: []band{{40, 3}, {50, 1}, {90, 0}, {110, 1}, {130, 2}, {noMax, 3}}},
		newsConsciousness: {name: "consciousness", label: "ACVPU",
			words: map[string]int{"A": 0, "C": 3, "V": 3, "P": 3, "U": 3}, yes: "A", no: "C"},
		newsTemp: {name: "temp", label: "temperature", unit: "Cel", places: 1,
			bands: []band{{350, 3}, {360, 1}, {380, 0}, {390, 1}, {noMax, 2}}},
	},
	score: scoreNEWS2,
}

// The second SpO2 scale, for confirmed hypercapnic failure: a clinician
// chooses it, patient by patient.
var (
	spo2Scale2Air    = []band{{83, 3}, {85, 2}, {87, 1}, {noMax, 0}}
	spo2Scale2Oxygen = []band{{83, 3}, {85, 2}, {87, 1}, {92, 0}, {94, 1}, {96, 2}, {noMax, 3}}
)

// partial is a score that is not fully known: bounds, and whether a single
// parameter scores 3 at least, or at most.
type partial struct {
	min, max   int
	min3, max3 bool
	subScores  []schemas.NamedScore
}

func (p *partial) add(name string, low, high int) {
	p.min, p.max = p.min+low, p.max+high
	p.min3, p.max3 = p.min3 || low >= 3, p.max3 || high >= 3
	if low == high {
		p.subScores = append(p.subScores, schemas.NamedScore{Name: name, Score: float64(low)})
	}
}

// scoreNEWS2 adds the sub-scores. On scale 2 a high saturation means something
// else on oxygen than on air, so when oxygen is unknown both are followed.
func scoreNEWS2(c *chart, in []reading, scale2 bool) state.Result {
	oxygen := in[newsOxygen]
	if oxygen.known {
		return newsResult(c, in, sumNEWS2(c, in, scale2, oxygen.word, oxygen.word))
	}
	return newsResult(c, in, sumNEWS2(c, in, scale2, wordAir, wordOxygen))
}

// sumNEWS2 adds up between the best and the worst that oxygen can be.
func sumNEWS2(c *chart, in []reading, scale2 bool, best, worst string) partial {
	var p partial
	for i := range c.inputs {
		row, r := &c.inputs[i], in[i]
		switch {
		case i == newsOxygen:
			p.add(row.name, row.words[best], row.words[worst])
		case !r.known:
			p.addMissing(row)
		case i == newsSpO2:
			p.add(row.name, bandOf(spo2Bands(row, scale2, best), r.number), bandOf(spo2Bands(row, scale2, worst), r.number))
		case row.words != nil:
			p.add(row.name, row.words[r.word], row.words[r.word])
		default:
			s := bandOf(row.bands, r.number)
			p.add(row.name, s, s)
		}
	}
	return p
}

func (p *partial) addMissing(row *chartInput) {
	w := row.worst()
	p.max += w
	p.max3 = p.max3 || w >= 3
}

func spo2Bands(row *chartInput, scale2 bool, oxygen string) []band {
	switch {
	case !scale2:
		return row.bands
	case oxygen == wordOxygen:
		return spo2Scale2Oxygen
	}
	return spo2Scale2Air
}

func newsResult(c *chart, in []reading, p partial) state.Result {
	r := state.Result{Min: float64(p.min), Max: float64(p.max), Complete: true, SubScores: p.subScores}
	for i := range c.inputs {
		r.Complete = r.Complete && in[i].known
	}
	if r.Complete {
		r.Value = r.Min
	}
	// Risk grows with the total and with a single 3, so what the two ends agree
	// on holds for everything between.
	if low := newsRisk(p.min, p.min3); low == newsRisk(p.max, p.max3) {
		r.Risk = low
	}
	return r
}

// Risk levels, as chart 2 names them.
const (
	RiskLow       = "low"
	RiskLowMedium = "low-medium"
	RiskMedium    = "medium"
	RiskHigh      = "high"
)

func newsRisk(total int, single3 bool) string {
	switch {
	case total >= 7:
		return RiskHigh
	case total >= 5:
		return RiskMedium
	case single3:
		return RiskLowMedium
	}
	return RiskLow
}

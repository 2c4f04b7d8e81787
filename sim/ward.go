package sim

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"auscult/schemas"
)

// Message is one device message, ready to be sent.
type Message struct {
	At      time.Time // when it is sent; a wrong clock shows in the body only
	Device  string
	Key     string // of the record
	Body    []byte
	Headers []schemas.Header
}

// Scenario is what happens to a patient.
type Scenario int

// The scenarios. Those with a course begin again and again, so that a ward that
// is watched for hours stays worth watching.
const (
	Stable      Scenario = iota
	Sepsis               // fever, fast pulse and breathing, falling pressure and saturation
	Hypovolemia          // fast pulse, falling pressure, cold
	SensorOff            // the device falls silent for a while
	ClockWrong           // the device's clock jumps a day ahead for a while
	Handover             // the device is handed to another patient, and back
)

var scenarioNames = [...]string{"stable", "sepsis", "hypovolaemia", "sensor-off", "clock-wrong", "handover"}

// String returns the scenario's name.
func (s Scenario) String() string {
	if s < 0 || int(s) >= len(scenarioNames) {
		return "unknown"
	}
	return scenarioNames[s]
}

// ParseScenario reads a scenario's name.
func ParseScenario(name string) (Scenario, error) {
	for i, known := range scenarioNames {
		if name == known {
			return Scenario(i), nil
		}
	}
	return 0, fmt.Errorf("no scenario %q: known are %v", name, scenarioNames)
}

// Limits and defaults of a ward.
const (
	// MaxPatients is how many patients a ward may have.
	MaxPatients = 1_000_000
	// DefaultEvery is the time between two messages of a device.
	DefaultEvery = 5 * time.Second
	// DefaultSpotEvery is the time between two sets of pressure, temperature,
	// consciousness and oxygen, which nurses take.
	DefaultSpotEvery = 5 * time.Minute
	// DefaultCourse is how long a patient takes from well to worst.
	DefaultCourse = 2 * time.Hour
)

// A cycle of a scenario lasts cycleCourses courses: one down, four at the worst,
// four back, the rest well.
const (
	cycleCourses = 20
	holdCourses  = 4
	backCourses  = 4
)

// Config describes a ward.
type Config struct {
	Patients int
	Seed     uint64
	// Start is when the scenarios begin. Messages may be read from any later
	// time; they are those that a reader from Start would get.
	Start     time.Time
	Every     time.Duration // between two messages of a device
	SpotEvery time.Duration // between two sets of values that nurses take
	Course    time.Duration // from well to worst
	// Scenarios are given to the first patients, in order; the others are
	// stable. Nil means one of each.
	Scenarios []Scenario
}

// Demo describes the ward of the demo: from the first minute there is something
// to see.
func Demo(patients int, seed uint64, start time.Time) Config {
	return Config{Patients: patients, Seed: seed, Start: start, Every: time.Second, SpotEvery: 10 * time.Second, Course: 40 * time.Second}
}

// Ward is a simulated ward.
type Ward struct {
	cfg      Config
	patients []patient // one a bed, and those who wait for a handover
}

// NewWard returns the ward that cfg describes.
func NewWard(cfg Config) (*Ward, error) {
	if cfg.Patients < 1 || cfg.Patients > MaxPatients {
		return nil, fmt.Errorf("a ward has 1 to %d patients, not %d", MaxPatients, cfg.Patients)
	}
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.SpotEvery == 0 {
		cfg.SpotEvery = DefaultSpotEvery
	}
	if cfg.Course == 0 {
		cfg.Course = DefaultCourse
	}
	if cfg.Every < time.Millisecond || cfg.SpotEvery < cfg.Every || cfg.Course < cfg.Every {
		return nil, errors.New("a ward needs every >= 1ms, and spotEvery and course not below every")
	}
	if cfg.Start.IsZero() {
		return nil, errors.New("a ward needs a start")
	}
	if cfg.Scenarios == nil {
		cfg.Scenarios = []Scenario{Sepsis, Hypovolemia, SensorOff, ClockWrong, Handover}
	}
	cfg.Start = cfg.Start.UTC()
	w := &Ward{cfg: cfg}
	w.admit()
	return w, nil
}

// admit fills the beds, then adds those who wait for a device.
func (w *Ward) admit() {
	for i := range w.cfg.Patients {
		s := Stable
		if i < len(w.cfg.Scenarios) {
			s = w.cfg.Scenarios[i]
		}
		w.patients = append(w.patients, newPatient(w.cfg.Seed, i, s))
	}
	for i := range w.cfg.Patients {
		if w.patients[i].scenario == Handover {
			w.patients[i].successor = len(w.patients)
			w.patients = append(w.patients, newPatient(w.cfg.Seed, len(w.patients), Stable))
		}
	}
}

// step returns the first step of device i that is sent at or after t.
func (w *Ward) step(i int, t time.Time) int64 {
	since := t.Sub(w.cfg.Start) - w.phase(i)
	if since <= 0 {
		return 0
	}
	return int64((since + w.cfg.Every - 1) / w.cfg.Every)
}

// phase spreads the devices evenly over the time between two messages.
func (w *Ward) phase(i int) time.Duration {
	return (w.cfg.Every / time.Duration(w.cfg.Patients) * time.Duration(i)).Truncate(time.Millisecond)
}

// Messages returns the ward's messages from a time on, in order of time,
// without end.
func (w *Ward) Messages(from time.Time) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		// Phases lie within one step, so the devices take turns.
		first := w.step(0, from)
		for k := max(first-1, 0); ; k++ {
			for i := range w.cfg.Patients {
				if k < w.step(i, from) {
					continue
				}
				if m, sent := w.message(i, k); sent && !yield(m) {
					return
				}
			}
		}
	}
}

// message returns message k of device i; false when the device is silent.
func (w *Ward) message(i int, k int64) (Message, bool) {
	at := w.cfg.Start.Add(w.phase(i) + time.Duration(k)*w.cfg.Every)
	wearer := &w.patients[i]
	phase := w.course(at)
	deviceTime := at
	switch wearer.scenario {
	case SensorOff:
		if phase >= 2 && phase < 7 {
			return Message{}, false
		}
	case ClockWrong:
		if phase >= 2 && phase < 3 {
			deviceTime = at.Add(24 * time.Hour)
		}
	case Handover:
		if phase >= 4 && phase < 14 {
			wearer = &w.patients[wearer.successor]
		}
	}
	noise := w.noise(i, k)
	if noise.chance(channelGap) < gapChance {
		return Message{}, false
	}
	spot := k%int64(w.cfg.SpotEvery/w.cfg.Every) == 0
	v := wearer.vitals(at, severity(wearer.scenario, phase), noise)
	id := deviceID(i)
	return Message{At: at, Device: id, Key: id, Body: v.body(id, wearer.id, deviceTime, spot, noise), Headers: messageHeaders}, true
}

// messageHeaders are on every message of a ward.
var messageHeaders = []schemas.Header{{Key: "content-type", Value: []byte("application/json")}}

// course returns where the scenarios stand at a time, in courses since the
// cycle began.
func (w *Ward) course(at time.Time) float64 {
	cycle := w.cfg.Course * cycleCourses
	return float64(at.Sub(w.cfg.Start)%cycle) / float64(w.cfg.Course)
}

// severity returns how ill a scenario makes its patient, 0 to 1.
func severity(s Scenario, phase float64) float64 {
	switch s {
	case Sepsis:
	case Hypovolemia:
		phase -= 3 // not at the same time as the other
	default:
		return 0
	}
	switch {
	case phase < 0:
		return 0
	case phase < 1:
		return phase
	case phase < 1+holdCourses:
		return 1
	case phase < 1+holdCourses+backCourses:
		return 1 - (phase-1-holdCourses)/backCourses
	}
	return 0
}

func deviceID(i int) string { return fmt.Sprintf("monitor-%02d", i+1) }

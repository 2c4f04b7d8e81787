package sim

import (
	"math"
	"strconv"
	"time"
)

// How often a device errs.
const (
	gapChance      = 0.004 // a message is lost
	missingChance  = 0.01  // a value is left out
	artefactChance = 0.003 // a value is what no patient can have
)

// Channels of noise: one for each thing that chance decides.
const (
	channelGap = iota
	channelHeart
	channelBreath
	channelOxygen
	channelSystolic
	channelDiastolic
	channelTemperature
	channelMissing
	channelArtefact
	channelBaseline
)

// noise is chance that depends only on seed, device and step.
type noise struct {
	seed   uint64
	device uint64
	step   uint64
}

func (w *Ward) noise(i int, k int64) noise { return noise{w.cfg.Seed, uint64(i), uint64(k)} }

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// chance returns a number in [0, 1).
func (n noise) chance(channel int) float64 {
	h := mix(mix(mix(n.seed)^n.device)^n.step) ^ mix(uint64(channel)+1)
	return float64(mix(h)>>11) / (1 << 53)
}

// around returns a number with mean 0 and deviation about 1: the sum of three
// even ones.
func (n noise) around(channel int) float64 {
	return 2 * (n.chance(channel<<8) + n.chance(channel<<8+1) + n.chance(channel<<8+2) - 1.5)
}

// drift returns a slow wave between -1 and 1 that differs from patient to
// patient.
func (n noise) drift(channel int, at time.Time) float64 {
	fixed := noise{n.seed, n.device, 0}
	period := 600 + 1200*fixed.chance(1000+channel) // seconds
	shift := 2 * math.Pi * fixed.chance(2000+channel)
	return math.Sin(2*math.Pi*float64(at.Unix())/period + shift)
}

// vitals is one set of values.
type vitals struct {
	heart, breath, oxygen float64
	systolic, diastolic   float64
	temperature           float64
	consciousness         string
	flow                  int // of oxygen, litres a minute
}

// vitals returns what a patient's body shows at a time.
func (p *patient) vitals(at time.Time, ill float64, n noise) vitals {
	// Pulse, pressure and temperature are lowest at four in the morning.
	hour := float64(at.Hour()) + float64(at.Minute())/60
	day := -math.Cos(2 * math.Pi * (hour - 4) / 24)
	v := vitals{
		heart:       p.heart + 4*day + 3*n.drift(channelHeart, at) + 1.5*n.around(channelHeart),
		breath:      p.breath + 0.5*day + n.drift(channelBreath, at) + 0.4*n.around(channelBreath),
		oxygen:      p.oxygen + 0.5*n.drift(channelOxygen, at) + 0.3*n.around(channelOxygen),
		systolic:    p.systolic + 5*day + 3*n.drift(channelSystolic, at) + 2*n.around(channelSystolic),
		diastolic:   p.diastolic + 3*day + 2*n.drift(channelSystolic, at) + 1.5*n.around(channelDiastolic),
		temperature: p.temperature + 0.25*day + 0.05*n.around(channelTemperature),
	}
	switch p.scenario {
	case Sepsis:
		v.add(ill, vitals{heart: 50, breath: 14, oxygen: -8, systolic: -42, diastolic: -28, temperature: 2.3})
	case Hypovolemia:
		v.add(ill, vitals{heart: 55, breath: 10, oxygen: -3, systolic: -46, diastolic: -22, temperature: -1.2})
	}
	v.consciousness = "A"
	if ill > 0.85 {
		v.consciousness = "C"
	}
	if p.scenario == Sepsis && ill > 0.5 {
		v.flow = 4
	}
	v.oxygen = min(v.oxygen, 100)
	return v
}

// add moves v by share of d.
func (v *vitals) add(share float64, d vitals) {
	v.heart += share * d.heart
	v.breath += share * d.breath
	v.oxygen += share * d.oxygen
	v.systolic += share * d.systolic
	v.diastolic += share * d.diastolic
	v.temperature += share * d.temperature
}

// body writes the message: continuous values always, those that nurses take
// only when it is time. Values may be missing or, rarely, impossible.
func (v *vitals) body(device, patient string, at time.Time, spot bool, n noise) []byte {
	b := make([]byte, 0, 192)
	b = append(b, `{"deviceId":"`...)
	b = append(b, device...)
	b = append(b, `","patientId":"`...)
	b = append(b, patient...)
	b = append(b, `","time":"`...)
	b = at.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, '"')
	b = v.number(b, "hr", channelHeart, v.heart, 0, 0, n)
	b = v.number(b, "rr", channelBreath, v.breath, 0, 0, n)
	b = v.number(b, "spo2", channelOxygen, v.oxygen, 0, 127, n)
	if spot {
		b = v.number(b, "sbp", channelSystolic, v.systolic, 0, -1, n)
		b = v.number(b, "dbp", channelDiastolic, v.diastolic, 0, -1, n)
		b = v.number(b, "temp", channelTemperature, v.temperature, 1, 0, n)
		b = append(b, `,"avpu":"`...)
		b = append(b, v.consciousness...)
		b = append(b, `","o2":`...)
		b = strconv.AppendInt(b, int64(v.flow), 10)
	}
	return append(b, '}')
}

// number writes one value, unless it is missing; impossible stands for an
// artefact.
func (v *vitals) number(b []byte, name string, channel int, x float64, places int, impossible float64, n noise) []byte {
	if n.chance(channelMissing<<8+channel) < missingChance && channel < channelSystolic {
		return b
	}
	if n.chance(channelArtefact<<8+channel) < artefactChance {
		x = impossible
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return strconv.AppendFloat(b, x, 'f', places, 64)
}

package main

import (
	"math"
	"strconv"
	"time"

	"auscult/schemas"
)

// handMapping is the mapping of a workload as one would write it down for a
// JSON library: the contenders that know no mapping files work by it.
type handMapping struct {
	templates []handTemplate
	readings  bool // the body is a list of readings, else it is the only one
}

// chain is the member names on the way to a value.
type chain []string

// handTemplate makes a measurement of each object, at any depth, for which all
// conditions hold. Its chains begin at that object.
type handTemplate struct {
	typeName              string
	conditions            []condition
	device, time, patient chain // patient may be absent
	values                []handValue
}

// condition holds when there is a value, and with a text when it is that text.
type condition struct {
	at   chain
	text string
}

// handValue is a text as it is, or a number times a factor that is not 0.
type handValue struct {
	name   string
	at     chain
	factor float64
}

// handMappings says the same as the mapping files of the workloads; that it
// does is compared before anything is measured.
var handMappings = map[string]handMapping{
	"W1": {templates: []handTemplate{heartRate}},
	"W2": {templates: []handTemplate{
		telemetry("heartrate", handValue{name: "hr", at: chain{"HeartRate"}}),
		telemetry("respiratoryrate", handValue{name: "respiratoryrate", at: chain{"RespiratoryRate"}}),
		telemetry("hrv", handValue{name: "hrv", at: chain{"HeartRateVariability"}}),
		telemetry("bodytemperature", handValue{name: "temp", at: chain{"BodyTemperature"}}),
		telemetry("bloodpressure",
			handValue{name: "systolic", at: chain{"BloodPressure", "Systolic"}},
			handValue{name: "diastolic", at: chain{"BloodPressure", "Diastolic"}}),
		telemetry("rangeofmotion", handValue{name: "rangeofmotion", at: chain{"RangeOfMotion"}}),
		telemetry("kneebend", handValue{name: "kneebend", at: chain{"KneeBend"}}),
	}},
	"W3": {templates: []handTemplate{heartRate}, readings: true},
	"W4": {templates: healthKit()},
	"W5": {readings: true, templates: []handTemplate{
		height("inches", 0.0254),
		height("meters", 0),
	}},
}

var heartRate = handTemplate{
	typeName: "heartrate", conditions: []condition{{at: chain{"heartRate"}}},
	device: chain{"deviceId"}, time: chain{"endDate"},
	values: []handValue{{name: "hr", at: chain{"heartRate"}}},
}

// telemetry is a template of W2: its values are below one member.
func telemetry(typeName string, values ...handValue) handTemplate {
	t := handTemplate{typeName: typeName, device: chain{"deviceId"}, time: chain{"enqueuedTime"}, patient: chain{"deviceId"}}
	for _, v := range values {
		v.at = append(chain{"telemetry"}, v.at...)
		t.values = append(t.values, v)
		t.conditions = append(t.conditions, condition{at: v.at})
	}
	return t
}

// healthKit returns the templates of W4.
func healthKit() []handTemplate {
	var all []handTemplate
	for _, name := range []string{
		"heartRate", "stepCount", "bloodGlucose", "height", "bodyMass", "bodyTemperature", "oxygenSaturation",
		"respiratoryRate", "activeEnergyBurned", "appleExerciseTime", "appleStandTime", "dietaryEnergyConsumed",
		"environmentalAudioExposure", "heartRateVariability", "restingHeartRate", "walkingHeartRateAverage", "vo2Max",
		"flightsClimbed", "bodyFatPercentage",
	} {
		all = append(all, sample(name, name))
	}
	return append(all, sample("bloodpressure", "systolic", "diastolic"))
}

// sample is a template of W4.
func sample(typeName string, values ...string) handTemplate {
	t := handTemplate{typeName: typeName, device: chain{"deviceId"}, time: chain{"endDate"}}
	for _, name := range values {
		t.conditions = append(t.conditions, condition{at: chain{name}})
		t.values = append(t.values, handValue{name: name, at: chain{name}})
	}
	return t
}

// height is a template of W5.
func height(unit string, factor float64) handTemplate {
	return handTemplate{
		typeName: "heightInMeters", conditions: []condition{{chain{"unit"}, unit}},
		device: chain{"deviceId"}, time: chain{"endDate"},
		values: []handValue{{"height", chain{"height"}, factor}},
	}
}

// appendNumber appends a number as .NET prints it: the shortest digits that
// read back as the same number, with an exponent only from 1E+17 on and below
// 0.0001.
func appendNumber(dst []byte, f float64) []byte {
	format := byte('f')
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e17) {
		format = 'E'
	}
	return strconv.AppendFloat(dst, f, format, -1, 64)
}

// ticksOf reads the time of a message. All times of the workloads are RFC 3339,
// which package time reads faster than anything else.
func ticksOf(text string) (schemas.Ticks, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	return schemas.TicksOf(t), err
}

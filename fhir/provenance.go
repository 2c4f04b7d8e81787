package fhir

import (
	"fmt"

	"auscult/schemas"
)

// Last parts of the systems of what a Provenance carries in identifiers.
const (
	sourceSystem     = "devicedata"  // generation/partition/offset/index
	orderSystem      = "row-order"   // run/version/index (G2)
	flagStatusSystem = "flag-status" // the status that we gave a Flag (G3)
)

// triggers are the words for why a score was emitted.
var triggers = [...]string{schemas.TriggerValue: "value", schemas.TriggerWatermark: "watermark", schemas.TriggerLate: "late",
	schemas.TriggerIdle: "idle", schemas.TriggerEnd: "end", schemas.TriggerSize: "size"}

// Provenance returns where target ("RiskAssessment/ra-...") comes from: the
// source bytes that made it be written, the model, and the order of the record.
// It is the one risk resource that is not a function of the values.
func Provenance(n Names, target string, s *schemas.Score, order schemas.Order) []byte {
	activity := "CREATE"
	if s.Revision > 1 {
		activity = "UPDATE"
	}
	l := s.Lineage
	source := fmt.Sprintf("%s/%d/%d/%d", l.Generation, l.Partition, l.Offset, l.Index)
	about := fmt.Sprintf("device mapping %s, revision %d, trigger %s", l.Mapping, s.Revision, triggers[s.Trigger])
	return object(
		member{"resourceType", text("Provenance")},
		member{"id", text(ProvenanceID(target))},
		member{"target", list(object(member{"reference", text(target)}))},
		member{"occurredPeriod", span(s.Start, s.End)},
		member{"recorded", text(Times(recorded(s)))},
		member{"activity", object(member{"coding", list(object(
			member{"system", text("http://terminology.hl7.org/CodeSystem/v3-DataOperation")}, member{"code", text(activity)}))})},
		member{"agent", list(object(
			member{"type", object(member{"coding", list(object(
				member{"system", text("http://terminology.hl7.org/CodeSystem/provenance-participant-type")},
				member{"code", text("assembler")}))})},
			member{"who", reference("Device", n.ScorerID())}))},
		member{"entity", list(
			entity("source", n.system(sourceSystem), source, about),
			entity("derivation", n.system("model"), modelName(s), ""),
			entity("source", n.system(orderSystem), fmt.Sprintf("%s/%d/%d", l.Run, order.Version, order.Index), ""),
			entity("source", n.system(flagStatusSystem), statusOf(s, target), "")),
		},
	).bytes()
}

// statusOf returns the status that s gives a Flag.
func statusOf(s *schemas.Score, target string) string {
	for _, f := range s.Flags {
		if target == "Flag/"+f.ID {
			return flagStatus[f.State]
		}
	}
	return ""
}

func modelName(s *schemas.Score) string {
	if s.ModelVersion == "" {
		return s.Model
	}
	return s.Model + "@" + s.ModelVersion
}

func entity(role string, system *node, value, display string) *node {
	if trim(value) == "" {
		return nil
	}
	return object(member{"role", text(role)}, member{"what", object(
		member{"identifier", object(member{"system", system}, member{"value", text(value)})},
		member{"display", text(display)})})
}

// recorded is an instant of event time: FHIR demands one, and a wall clock
// would make every replay write anew.
func recorded(s *schemas.Score) schemas.Ticks {
	at := s.End
	for _, f := range s.Flags {
		at = max(at, f.Opened, f.Closed)
	}
	return at
}

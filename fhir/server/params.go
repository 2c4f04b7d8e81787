package server

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// paramKind is how the values of a search parameter are compared.
type paramKind uint8

const (
	tokenParam     paramKind = iota // Identifier, CodeableConcept, Coding: system|value
	codeParam                       // a code whose system R4 fixes: the value alone counts
	referenceParam                  // a literal reference
	dateParam                       // dateTime, instant or Period; one for each type
)

// param is one search parameter of one resource type.
type param struct {
	name string
	kind paramKind
	// members are alternatives: paths of member names, lists are followed.
	members []string
	// targets are the types a reference value without type may mean.
	targets []string
}

var (
	identifierParam = param{"identifier", tokenParam, []string{"identifier"}, nil}
	codeOf          = param{"code", tokenParam, []string{"code"}, nil}
	statusParam     = param{"status", codeParam, []string{"status"}, nil}
	subjectParam    = param{"subject", referenceParam, []string{"subject"}, []string{"Patient", "Group", "Device", "Location"}}
	patientSubject  = param{"patient", referenceParam, []string{"subject"}, []string{"Patient"}}
	patientMember   = param{"patient", referenceParam, []string{"patient"}, []string{"Patient"}}
	deviceParam     = param{"device", referenceParam, []string{"device"}, []string{"Device", "DeviceMetric"}}
	encounterParam  = param{"encounter", referenceParam, []string{"encounter"}, []string{"Encounter"}}
)

func date(name string, members ...string) param { return param{name, dateParam, members, nil} }

// searchable lists the search parameters by type, as R4 defines them: Flag, for
// one, has none for its status. Their order is part of the file's layout: see
// index.present.
var searchable = map[string][]param{
	"Patient": {identifierParam, {"gender", codeParam, []string{"gender"}, nil}, date("birthdate", "birthDate")},
	"Device":  {identifierParam, statusParam, patientMember, {"type", tokenParam, []string{"type"}, nil}},
	"DeviceUseStatement": {identifierParam, deviceParam, patientSubject,
		{"subject", referenceParam, []string{"subject"}, []string{"Patient", "Group"}}},
	"Observation": {identifierParam, codeOf, statusParam, {"category", tokenParam, []string{"category"}, nil},
		subjectParam, patientSubject, deviceParam, encounterParam,
		date("date", "effectiveDateTime", "effectivePeriod", "effectiveInstant", "effectiveTiming")},
	"Encounter":      {identifierParam, statusParam, subjectParam, patientSubject, date("date", "period")},
	"RiskAssessment": {identifierParam, subjectParam, patientSubject, encounterParam, date("date", "occurrenceDateTime", "occurrencePeriod")},
	"Flag":           {identifierParam, subjectParam, patientSubject, encounterParam, date("date", "period")},
	"Condition": {identifierParam, codeOf, {"clinical-status", tokenParam, []string{"clinicalStatus"}, nil},
		subjectParam, patientSubject, encounterParam, date("recorded-date", "recordedDate")},
	"Provenance": {{"target", referenceParam, []string{"target"}, nil},
		{"patient", referenceParam, []string{"target"}, []string{"Patient"}}, date("recorded", "recorded")},
}

// otherTypes are the R4 types that are stored and read, and found by
// identifier and patient only.
const otherTypes = " Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic Binary " +
	"BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry ChargeItem ChargeItemDefinition " +
	"Claim ClaimResponse ClinicalImpression CodeSystem Communication CommunicationRequest CompartmentDefinition Composition ConceptMap " +
	"Consent Contract Coverage CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue DeviceDefinition DeviceMetric " +
	"DeviceRequest DiagnosticReport DocumentManifest DocumentReference EffectEvidenceSynthesis Endpoint EnrollmentRequest " +
	"EnrollmentResponse EpisodeOfCare EventDefinition Evidence EvidenceVariable ExampleScenario ExplanationOfBenefit " +
	"FamilyMemberHistory Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy Immunization " +
	"ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice Library Linkage List Location " +
	"Measure MeasureReport Media Medication MedicationAdministration MedicationDispense MedicationKnowledge MedicationRequest " +
	"MedicationStatement MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication " +
	"MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged " +
	"MedicinalProductPharmaceutical MedicinalProductUndesirableEffect MessageDefinition MessageHeader MolecularSequence NamingSystem " +
	"NutritionOrder ObservationDefinition OperationDefinition OperationOutcome Organization OrganizationAffiliation PaymentNotice " +
	"PaymentReconciliation Person PlanDefinition Practitioner PractitionerRole Procedure Questionnaire QuestionnaireResponse " +
	"RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject RiskEvidenceSynthesis " +
	"Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition StructureMap Subscription Substance " +
	"SubstanceNucleicAcid SubstancePolymer SubstanceProtein SubstanceReferenceInformation SubstanceSourceMaterial " +
	"SubstanceSpecification SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport TestScript ValueSet VerificationResult " +
	"VisionPrescription "

var otherParams = []param{identifierParam, {"patient", referenceParam, []string{"patient", "subject"}, []string{"Patient"}}}

// paramsOf returns the search parameters of a type; ok is false when R4 has no
// such type.
func paramsOf(resourceType string) (params []param, ok bool) {
	if params, ok = searchable[resourceType]; ok {
		return params, true
	}
	return otherParams, resourceType != "" && strings.Contains(otherTypes, " "+resourceType+" ")
}

// key stands for one value of one search parameter in the index: 16 bytes of a
// SHA-256, so that rows stay narrow and two values never share one.
type key [16]byte

// keyOf hashes its fields with their lengths: no two lists of fields are alike.
func keyOf(fields ...string) key {
	var space [256]byte
	b := space[:0]
	for _, f := range fields {
		b = binary.AppendUvarint(b, uint64(len(f)))
		b = append(b, f...)
	}
	sum := sha256.Sum256(b)
	return key(sum[:16])
}

// index is what a resource can be found by.
type index struct {
	keys    []key
	date    span
	present int64 // bit i: the resource has a value for parameter i of its type
}

// indexOf extracts the searchable values of a resource.
func indexOf(resourceType string, r *value) (index, error) {
	params, _ := paramsOf(resourceType)
	x := index{date: noSpan}
	for i := range params {
		p := &params[i]
		for _, path := range p.members {
			member := r.get(path)
			if member == nil {
				continue
			}
			if p.means(member) {
				x.present |= presentBit(i)
			}
			if p.kind == dateParam {
				s, err := spanOfMember(member)
				if err != nil {
					return x, fmt.Errorf("%s: %w", path, err)
				}
				x.date = s
				continue
			}
			member.each(func(v *value) {
				x.keys = append(x.keys, p.keys(resourceType, v)...)
			})
		}
	}
	x.keys = distinct(x.keys)
	return x, nil
}

// maxCompared is up to how many keys are compared with each other: most
// resources have fewer, and a map costs more than they do.
const maxCompared = 32

// distinct removes keys that come again.
func distinct(keys []key) []key {
	var seen map[key]bool
	if len(keys) > maxCompared {
		seen = make(map[key]bool, len(keys))
	}
	rest := keys[:0]
	for _, k := range keys {
		if seen == nil && slices.Contains(rest, k) || seen[k] {
			continue
		}
		if seen != nil {
			seen[k] = true
		}
		rest = append(rest, k)
	}
	return rest
}

// presentBit is the place of the i-th parameter in index.present.
func presentBit(i int) int64 { return 1 << i }

// means reports whether a member is a value of the parameter: a subject that
// is a Group is none of the parameter patient.
func (p *param) means(member *value) bool {
	if p.name != "patient" {
		return true
	}
	found := false
	member.each(func(v *value) {
		kind := v.get("type").text()
		if ref := v.get("reference").text(); ref != "" {
			kind, _, _ = strings.Cut(ref, "/")
		}
		found = found || kind == "" || kind == "Patient" || !isResourceType(kind)
	})
	return found
}

// keys returns the index keys of one value of the parameter.
func (p *param) keys(resourceType string, v *value) []key {
	switch p.kind {
	case codeParam:
		return []key{keyOf(resourceType, p.name, "value", v.text())}
	case referenceParam:
		ref := withoutVersion(v.get("reference").text())
		if ref == "" || p.name == "patient" && !strings.HasPrefix(ref, "Patient/") {
			return nil
		}
		return []key{keyOf(resourceType, p.name, "reference", ref)}
	}
	if coding := v.get("coding"); coding != nil {
		var keys []key
		coding.each(func(c *value) {
			keys = append(keys, p.tokenKeys(resourceType, c.get("system").text(), c.get("code").text())...)
		})
		return keys
	}
	return p.tokenKeys(resourceType, v.get("system").text(), v.get("value").text())
}

// tokenKeys are two: a search may name the system or not. One that names
// nothing else reads the bodies: a third row would cost every write.
func (p *param) tokenKeys(resourceType, system, text string) []key {
	if text == "" {
		return nil
	}
	return []key{keyOf(resourceType, p.name, "value", text), keyOf(resourceType, p.name, "token", system, text)}
}

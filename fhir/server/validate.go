package server

import (
	"regexp"
	"strings"
)

// idForm is the R4 syntax of logical ids.
var idForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// required lists the members without which R4 does not accept a resource.
var required = map[string][]string{
	"Observation":        {"status", "code"},
	"RiskAssessment":     {"status", "subject"},
	"Flag":               {"status", "code", "subject"},
	"Provenance":         {"target", "recorded", "agent"},
	"Encounter":          {"status", "class"},
	"Condition":          {"subject"},
	"DeviceUseStatement": {"status", "subject", "device"},
}

const observationStatus = " registered preliminary final amended corrected cancelled entered-in-error unknown "

// statuses are the codes of status; types that are not here are not checked.
var statuses = map[string]string{
	"Observation":    observationStatus,
	"RiskAssessment": observationStatus,
	"Flag":           " active inactive entered-in-error ",
	"Device":         " active inactive entered-in-error unknown ",
}

// structures are the members that must be objects, or lists of objects.
var structures = []string{"meta", "identifier", "code", "subject", "patient", "device", "encounter", "target", "agent", "category", "period"}

// validate makes the checks that keep the store sound. Profiles, value sets and
// unknown members are not its business.
func validate(r *value, resourceType string) error {
	if r.kind != objectKind {
		return invalid("", "a resource is a JSON object")
	}
	if got := r.get("resourceType").text(); got != resourceType {
		return invalid("resourceType", "resourceType is %q, the address asks for %s", got, resourceType)
	}
	if id := r.get("id"); id != nil && !idForm.MatchString(id.text()) {
		return invalid(resourceType+".id", "an id has 1 to 64 characters A-Z a-z 0-9 - .")
	}
	for _, name := range required[resourceType] {
		if r.get(name) == nil {
			return invalid(resourceType+"."+name, "%s.%s is required", resourceType, name)
		}
	}
	if _, known := searchable[resourceType]; !known {
		return nil // members of the same name mean other things there
	}
	for _, name := range structures {
		if err := structured(r.get(name), resourceType+"."+name); err != nil {
			return err
		}
	}
	status := r.get("status")
	if codes, ok := statuses[resourceType]; ok && status != nil && !strings.Contains(codes, " "+status.text()+" ") {
		return invalid(resourceType+".status", "%s.status is one of%s", resourceType, strings.TrimRight(codes, " "))
	}
	return nil
}

func structured(member *value, path string) error {
	var err error
	member.each(func(v *value) {
		if v.kind != objectKind {
			err = invalid(path, "%s is an object", path)
		}
	})
	return err
}

package rest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"auscult/fhir"
	"auscult/schemas"
)

// maxOutcome is how many bytes of an error's text are kept.
const maxOutcome = 4000

// operationOutcome is what servers say of an error. HAPI writes its text into
// diagnostics, Medplum into details.text.
type operationOutcome struct {
	ResourceType string `json:"resourceType"`
	Issue        []struct {
		Code        string `json:"code"`
		Diagnostics string `json:"diagnostics"`
		Details     struct {
			Text string `json:"text"`
		} `json:"details"`
		Expression []string `json:"expression"`
		Location   []string `json:"location"`
	} `json:"issue"`
}

// statusError reads an answer other than 2xx.
func statusError(method string, status int, h http.Header, body []byte) *fhir.StatusError {
	e := &fhir.StatusError{Status: status, RetryAfter: retryAfter(h, time.Now())}
	var o operationOutcome
	if json.Unmarshal(body, &o) != nil || o.ResourceType != "OperationOutcome" {
		e.Outcome = clip(strings.TrimSpace(string(body)))
		return e
	}
	var texts, codes []string
	for _, i := range o.Issue {
		text := i.Diagnostics
		if text == "" {
			text = i.Details.Text
		}
		if text == "" {
			text = i.Code
		}
		// Where it is helps whoever reads the dead letter, and refusedEntry.
		if places := append(i.Expression, i.Location...); len(places) > 0 && !strings.Contains(text, places[0]) {
			text += " (" + places[0] + ")"
		}
		texts, codes = append(texts, text), append(codes, i.Code)
	}
	e.Outcome = clip(strings.Join(texts, "; "))
	e.MissingReference = method != http.MethodGet && missingReference(status, e.Outcome, codes)
	return e
}

func clip(s string) string {
	if len(s) > maxOutcome {
		return strings.ToValidUTF8(s[:maxOutcome], "")
	}
	return s
}

// missing matches how servers say that the target of a reference is not there:
// HAPI 1094 and 1091, Medplum, Google, Firely, Microsoft (conditional ones).
var missing = regexp.MustCompile(`(?i)HAPI-109[14]|reference_not_found|` +
	`referen[^;]*(not (be )?(found|resolved?)|(does|do|did) not (exist|resolve)|no such|unresolv|unknown)|` +
	`not found, (specified in path|referenced by)`)

// missingReference tells a reference to what is not there (yet) from other
// refusals: the first is worth another try.
func missingReference(status int, text string, codes []string) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed, http.StatusUnprocessableEntity:
	default:
		return false
	}
	if missing.MatchString(text) {
		return true
	}
	for _, code := range codes {
		if code == "not-found" && (status == http.StatusBadRequest || status == http.StatusUnprocessableEntity) {
			return true
		}
	}
	return false
}

// retryAfter reads how long the server wants to be left alone.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if ms, err := strconv.ParseInt(h.Get("X-Ms-Retry-After-Ms"), 10, 64); err == nil && ms > 0 {
		return limited(ms, time.Millisecond)
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds > 0 {
		return limited(seconds, time.Second)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return min(at.Sub(now), maxRetryAfter)
	}
	return 0
}

// maxRetryAfter keeps a server from stopping a stage for a day.
const maxRetryAfter = 10 * time.Minute

func limited(n int64, unit time.Duration) time.Duration {
	if n > int64(maxRetryAfter/unit) {
		return maxRetryAfter
	}
	return time.Duration(n) * unit
}

// entryPlace finds the entry that an outcome speaks of.
var entryPlace = regexp.MustCompile(`(?i)(?:Bundle\.entry\[|entry )(\d{1,4})`)

// refusedEntry names the entry to blame for a refused transaction, when the
// server tells which.
func refusedEntry(e *fhir.StatusError, resources []schemas.WholeResource) *EntryError {
	m := entryPlace.FindStringSubmatch(e.Outcome)
	if m == nil {
		return &EntryError{Index: -1, Err: e}
	}
	i, err := strconv.Atoi(m[1])
	if err != nil || i >= len(resources) {
		return &EntryError{Index: -1, Err: e}
	}
	return &EntryError{Index: i, Type: resources[i].Type, Err: e}
}

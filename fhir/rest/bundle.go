package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"auscult/fhir"
	"auscult/schemas"
)

// bundle is a Bundle as servers send it.
type bundle struct {
	ResourceType string  `json:"resourceType"`
	Type         string  `json:"type"`
	Link         []link  `json:"link"`
	Entry        []entry `json:"entry"`
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

type entry struct {
	FullURL  string          `json:"fullUrl,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
	Request  *entryRequest   `json:"request,omitempty"`
	Response *entryResponse  `json:"response,omitempty"`
	Search   *struct {
		Mode string `json:"mode"`
	} `json:"search,omitempty"`
}

type entryRequest struct {
	Method  string `json:"method"`
	URL     string `json:"url"`
	IfMatch string `json:"ifMatch,omitempty"`
}

type entryResponse struct {
	Status   string          `json:"status"`
	Location string          `json:"location"`
	ETag     string          `json:"etag"`
	Outcome  json.RawMessage `json:"outcome"`
}

func readBundle(body []byte) (*bundle, error) {
	b := &bundle{}
	if err := json.Unmarshal(body, b); err != nil || b.ResourceType != "Bundle" {
		return nil, errors.New("reading the FHIR server's answer: a Bundle was expected; check that baseURL is the server's FHIR address")
	}
	return b, nil
}

// Search returns all matches, following next links.
func (c *Client) Search(ctx context.Context, resourceType string, query url.Values) ([]fhir.Stored, error) {
	if !query.Has("_count") {
		asked := url.Values{"_count": {pageSize}}
		for name, texts := range query {
			asked[name] = texts
		}
		query = asked
	}
	var all []fhir.Stored
	err := c.pages(ctx, c.address(resourceType)+"?"+query.Encode(), func(e *entry) error {
		if e.Search != nil && e.Search.Mode != "" && e.Search.Mode != "match" {
			return nil // an OperationOutcome or an included resource
		}
		s, err := storedOf(e.Resource)
		if err == nil {
			all = append(all, s)
		}
		return err
	})
	return all, err
}

// History returns the versions of a resource, newest first; none when the
// server does not hold it.
func (c *Client) History(ctx context.Context, resourceType, id string) ([]fhir.Stored, error) {
	var all []fhir.Stored
	address := c.address(resourceType, id, "_history") + "?_count=" + pageSize
	err := c.pages(ctx, address, func(e *entry) error {
		if e.Resource == nil { // a deletion
			s := fhir.Stored{ID: id, Gone: true}
			if e.Response != nil {
				s.Version = bareVersion(e.Response.ETag)
			}
			all = append(all, s)
			return nil
		}
		s, err := storedOf(e.Resource)
		if err == nil {
			all = append(all, s)
		}
		return err
	})
	if absent, _ := absence(err); absent {
		return nil, nil
	}
	return all, err
}

// pages calls do with each entry of each page.
func (c *Client) pages(ctx context.Context, address string, do func(*entry) error) error {
	entries := 0
	for range maxPages {
		a, err := c.send(ctx, request{method: http.MethodGet, address: address, headers: noCache})
		if err != nil {
			return err
		}
		b, err := readBundle(a.Body())
		if err != nil {
			return err
		}
		for i := range b.Entry {
			if entries++; entries > maxMatches {
				return fmt.Errorf("searching the FHIR server: more than %d matches", maxMatches)
			}
			if err := do(&b.Entry[i]); err != nil {
				return err
			}
		}
		if address, err = c.next(address, b); err != nil || address == "" {
			return err
		}
	}
	return fmt.Errorf("searching the FHIR server: more than %d pages", maxPages)
}

// next returns the address of the next page, empty on the last one. It must lie
// on the same server: our credentials go with it.
func (c *Client) next(address string, b *bundle) (string, error) {
	for _, l := range b.Link {
		if l.Relation != "next" {
			continue
		}
		from, err := url.Parse(address)
		if err != nil {
			return "", err
		}
		to, err := from.Parse(l.URL)
		if err != nil {
			return "", errors.New("searching the FHIR server: its next link is no address")
		}
		if to.Scheme != c.base.Scheme || to.Host != c.base.Host {
			return "", fmt.Errorf("searching the FHIR server: its next link leads to %s://%s; set baseURL to the address by which the server knows itself", to.Scheme, to.Host)
		}
		return to.String(), nil
	}
	return "", nil
}

// EntryError says which entry of a transaction the server refused. It wraps
// the StatusError.
type EntryError struct {
	Index int    // -1 when the server did not say
	Type  string // resource type, empty when the server did not say
	Err   error
}

// Error names the entry and the status.
func (e *EntryError) Error() string {
	if e.Index < 0 {
		return "transaction: " + e.Err.Error()
	}
	return fmt.Sprintf("transaction, entry %d (%s): %v", e.Index, e.Type, e.Err)
}

// Unwrap returns the StatusError.
func (e *EntryError) Unwrap() error { return e.Err }

// Transaction PUTs all resources or none, each over its version when that is
// not empty. The answer has one Stored for each resource, in order.
func (c *Client) Transaction(ctx context.Context, resources []schemas.WholeResource, versions []string) ([]fhir.Stored, error) {
	if len(versions) != len(resources) {
		return nil, fmt.Errorf("building a transaction: %d versions for %d resources", len(versions), len(resources))
	}
	body, err := c.transactionBody(resources, versions)
	if err != nil {
		return nil, err
	}
	a, err := c.send(ctx, request{method: http.MethodPost, address: c.base.String(), body: body, headers: map[string]string{"Prefer": "return=minimal"}})
	var status *fhir.StatusError
	if errors.As(err, &status) {
		return nil, refusedEntry(status, resources)
	}
	if err != nil {
		return nil, err
	}
	b, err := readBundle(a.Body())
	if err != nil {
		return nil, err
	}
	if len(b.Entry) != len(resources) {
		return nil, fmt.Errorf("reading a transaction's answer: %d entries for %d resources", len(b.Entry), len(resources))
	}
	all := make([]fhir.Stored, len(resources))
	for i := range b.Entry {
		if all[i], err = entryResult(&b.Entry[i], resources[i]); err != nil {
			return nil, &EntryError{Index: i, Type: resources[i].Type, Err: err}
		}
	}
	return all, nil
}

// transactionBody is the Bundle that PUTs the resources.
func (c *Client) transactionBody(resources []schemas.WholeResource, versions []string) ([]byte, error) {
	request := bundle{ResourceType: "Bundle", Type: "transaction"}
	for i, r := range resources {
		e := entry{FullURL: c.address(r.Type, r.ID), Resource: json.RawMessage(r.JSON), Request: &entryRequest{Method: http.MethodPut, URL: r.Type + "/" + r.ID}}
		if versions[i] != "" {
			e.Request.IfMatch = etag(versions[i])
		}
		request.Entry = append(request.Entry, e)
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("building a transaction: %w", err)
	}
	return body, nil
}

// entryResult reads what became of one entry.
func entryResult(e *entry, r schemas.WholeResource) (fhir.Stored, error) {
	if e.Response == nil {
		return fhir.Stored{}, errors.New("reading a transaction's answer: an entry has no response")
	}
	word, _, _ := strings.Cut(e.Response.Status, " ")
	status, err := strconv.Atoi(word)
	if err != nil {
		return fhir.Stored{}, errors.New("reading a transaction's answer: an entry has no status")
	}
	if status < 200 || status > 299 {
		return fhir.Stored{}, statusError(http.MethodPut, status, nil, e.Response.Outcome)
	}
	s := fhir.Stored{ID: r.ID, Version: bareVersion(e.Response.ETag)}
	if s.Version == "" {
		s.Version = locationVersion(e.Response.Location)
	}
	if got, err := storedOf(e.Resource); err == nil && got.ID == r.ID {
		s.JSON = got.JSON
		if s.Version == "" {
			s.Version = got.Version
		}
	}
	return s, nil
}

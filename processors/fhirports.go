package processors

import (
	"context"
	"net/url"

	"auscult/fhir"
	"auscult/schemas"
)

// Stored is a resource as the FHIR server holds it.
type Stored = fhir.Stored

// Directory is what Identify needs of a FHIR server.
//
// Every method makes one attempt. An answer other than 2xx is a
// *fhir.StatusError, anything else that goes wrong an error of another type;
// the stage decides what is tried again. What is not there is no error: Read
// gives a Stored without ID (404) or with Gone set (410), Search an empty list.
type Directory interface {
	// Search follows all next links and returns every match.
	Search(ctx context.Context, resourceType string, query url.Values) ([]Stored, error)
	Read(ctx context.Context, resourceType, id string) (Stored, error)
	// History returns the versions of a resource, newest first.
	History(ctx context.Context, resourceType, id string) ([]Stored, error)
	// Put writes a resource; with a version only over that version (If-Match).
	Put(ctx context.Context, resourceType, id string, body []byte, version string) (Stored, error)
}

// Uploader is what Deliver needs of a FHIR server. Errors are those of
// Directory.
type Uploader interface {
	Search(ctx context.Context, resourceType string, query url.Values) ([]Stored, error)
	Read(ctx context.Context, resourceType, id string) (Stored, error)
	// Put writes a resource; with a version only over that version (If-Match).
	// The answer's JSON may be empty when the server returned no body.
	Put(ctx context.Context, resourceType, id string, body []byte, version string) (Stored, error)
	// Transaction PUTs all resources or none. versions has one entry for each
	// resource: If-Match of that entry, empty for none. The answer has one
	// Stored for each resource, in order.
	Transaction(ctx context.Context, resources []schemas.WholeResource, versions []string) ([]Stored, error)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"auscult/fhir"
	"auscult/fhir/rest"
	"auscult/internal/config"
	"auscult/processors"
)

// fhirDoctor examines the FHIR server. Each request has the time limit that the
// configuration gives it.
type fhirDoctor struct {
	*doctor
	cfg      *config.Config
	client   *rest.Client
	declared *rest.Capabilities // nil until it is known
}

// The checks of the FHIR server, in order.
const (
	checkDNS          = "fhir dns"
	checkTCP          = "fhir tcp"
	checkTLS          = "fhir tls"
	checkAddress      = "fhir address"
	checkLogin        = "fhir login"
	checkAccess       = "fhir access"
	checkVersion      = "fhir version"
	checkInteractions = "fhir interactions"
	checkUpdates      = "fhir updates"
	checkWrite        = "fhir write"
	checkDelete       = "fhir delete"
)

func (d *fhirDoctor) examine(ctx context.Context) {
	later := []string{checkLogin, checkAccess, checkVersion, checkInteractions, checkUpdates, checkWrite}
	for i, check := range []func(context.Context) bool{d.reach, d.login, d.access} {
		if check(ctx) {
			continue
		}
		for _, skipped := range later[i:] {
			d.skipped(skipped, "what is before it must work first")
		}
		return
	}
	if d.capabilities(ctx) {
		d.interactions()
		d.updates()
	} else {
		d.skipped(checkInteractions, "there is no CapabilityStatement")
		d.skipped(checkUpdates, "there is no CapabilityStatement")
	}
	d.write(ctx)
}

// reach goes the way to the server and names the part of it that is blocked.
func (d *fhirDoctor) reach(ctx context.Context) bool {
	r, err := d.client.Reach(ctx)
	var blocked *rest.ReachError
	phase := rest.Phase("")
	if errors.As(err, &blocked) {
		phase = blocked.Phase
	}
	host := d.cfg.FHIR.BaseURL
	if phase == rest.PhaseDNS {
		return d.failed(checkDNS, "%v: correct the host in fhir.baseURL, %s, or this machine's DNS", blocked.Err, host)
	}
	if len(r.Addresses) > 0 {
		d.ok(checkDNS, "%s", strings.Join(r.Addresses, ", "))
	}
	if phase == rest.PhaseTCP {
		return d.failed(checkTCP, "%v: start the server, open the firewall, set HTTPS_PROXY, or correct the port in fhir.baseURL, %s", blocked.Err, host)
	}
	d.ok(checkTCP, "%s", r.Remote)
	if phase == rest.PhaseTLS {
		return d.failed(checkTLS, "%v: name the authority that signed the server's certificate in fhir.tls.caFile, ours in fhir.tls.certFile and fhir.tls.keyFile, or correct fhir.baseURL, %s",
			blocked.Err, host)
	}
	if r.Encrypted != "" {
		d.ok(checkTLS, "%s, the server's certificate ends %s", r.Encrypted, r.Until.UTC().Format(time.DateOnly))
	}
	switch {
	case err != nil:
		return d.failed(checkAddress, "%v: %s is connected to and gives no answer: is it a FHIR server?", err, host)
	case r.Status >= http.StatusInternalServerError:
		return d.failed(checkAddress, "%s/metadata answered %d: start the server, or wait until it has started", strings.TrimRight(host, "/"), r.Status)
	case r.Status == http.StatusNotFound || r.Status == http.StatusMethodNotAllowed || r.Status == http.StatusGone:
		return d.failed(checkAddress, "%s/metadata answered %d: correct fhir.baseURL; many servers add /fhir or /r4 to the host", strings.TrimRight(host, "/"), r.Status)
	}
	return d.ok(checkAddress, "%s", host)
}

// login gets a token, where there is one to get.
func (d *fhirDoctor) login(ctx context.Context) bool {
	if err := d.client.Authorize(ctx); err != nil {
		return d.failed(checkLogin, "fhir: %v", err)
	}
	return d.ok(checkLogin, "fhir.auth.kind is %s", d.cfg.FHIR.Auth.Kind)
}

// access reads a resource that is not there of every type that the river reads:
// who may not read is told so before that.
func (d *fhirDoctor) access(ctx context.Context) bool {
	var readable, refused []string
	for _, n := range needs(d.cfg.Identity.Mode) {
		_, err := d.client.Read(ctx, n.kind, probeID())
		var status *fhir.StatusError
		switch {
		case err == nil:
			readable = append(readable, n.kind)
		case errors.As(err, &status) && status.Status == http.StatusForbidden:
			refused = append(refused, n.kind)
		default:
			return d.failed(checkAccess, "%s", d.advice(err, "read", n.kind))
		}
	}
	if len(refused) > 0 {
		d.failed(checkAccess, "the server answered 403 to read %s: %s", strings.Join(refused, ", "), d.forbidden("read", refused))
		return true // what it declares, anybody may read
	}
	return d.ok(checkAccess, "reads %s", strings.Join(readable, ", "))
}

// capabilities reads what the server declares.
func (d *fhirDoctor) capabilities(ctx context.Context) bool {
	c, err := d.client.Capabilities(ctx)
	if err != nil {
		return d.failed(checkVersion, "%s", d.advice(err, "read", "the CapabilityStatement"))
	}
	d.declared = &c
	isJSON := func(format string) bool {
		return format == "json" || strings.HasPrefix(format, "application/fhir+json") || strings.HasPrefix(format, "application/json")
	}
	switch {
	case c.FHIRVersion != fhirVersion:
		d.failed(checkVersion, "the server speaks FHIR %s: correct fhir.baseURL, for auscult writes R4 (%s)", c.FHIRVersion, fhirVersion)
	case !slices.ContainsFunc(c.Formats, isJSON):
		d.failed(checkVersion, "the server declares the formats %s: turn JSON on", strings.Join(c.Formats, ", "))
	default:
		d.ok(checkVersion, "%s", strings.TrimSpace("FHIR "+c.FHIRVersion+", JSON "+c.Software))
	}
	return true
}

// fhirVersion is R4.
const fhirVersion = "4.0.1"

// need is what the river does with a resource type.
type need struct {
	kind         string
	interactions []string
	byIdentifier bool
}

// needs is what the river does on the FHIR server: Identify finds Devices,
// Patients and Encounters, and creates them where it may; Deliver writes under
// ids of its own, over versions that it has read.
func needs(mode processors.Mode) []need {
	written := []string{"read", "update"}
	found := []string{"read", "search-type"}
	both := []string{"read", "update", "search-type"}
	patient := found
	if mode == processors.ModeCreate {
		patient = both
	}
	all := []need{{"Observation", both, true}, {"Device", both, true}, {"Patient", patient, true}}
	if mode == processors.ModeLookupWithEncounter {
		all = append(all, need{"Encounter", found, true})
	}
	return append(all, need{"RiskAssessment", written, false}, need{"Flag", written, false}, need{"Provenance", written, false})
}

// interactions compares what the server declares with what the river needs.
func (d *fhirDoctor) interactions() {
	var missing []string
	for _, n := range needs(d.cfg.Identity.Mode) {
		r := d.declared.Resources[n.kind]
		for _, i := range n.interactions {
			if !slices.Contains(r.Interactions, i) {
				missing = append(missing, n.kind+" "+i)
			}
		}
		if n.byIdentifier && !slices.Contains(r.SearchParameters, "identifier") {
			missing = append(missing, n.kind+" search by identifier")
		}
	}
	if !slices.Contains(d.declared.Interactions, "transaction") {
		missing = append(missing, "transaction")
	}
	if len(missing) > 0 {
		d.failed(checkInteractions, "the server does not declare %s: turn it on, or choose a server that has it", strings.Join(missing, ", "))
		return
	}
	d.ok(checkInteractions, "all that are needed, and transactions")
}

// updates looks at what the server says of writing over versions and under ids
// of ours.
func (d *fhirDoctor) updates() {
	var wrong, said []string
	for _, n := range needs(d.cfg.Identity.Mode) {
		r := d.declared.Resources[n.kind]
		if !slices.Contains(n.interactions, "update") {
			continue
		}
		if r.Versioning == "no-version" {
			wrong = append(wrong, n.kind+" has no versions: turn versioning on")
		}
		if r.UpdateCreate != nil && !*r.UpdateCreate {
			wrong = append(wrong, n.kind+" takes no ids of ours: allow clients to assign ids (update as create)")
		}
		words := orNotSaid(r.Versioning)
		if r.ConditionalUpdate {
			words += " with conditional update"
		}
		said = append(said, n.kind+" "+words)
	}
	if len(wrong) > 0 {
		d.failed(checkUpdates, "%s", strings.Join(wrong, "; "))
		return
	}
	d.ok(checkUpdates, "%s", strings.Join(said, ", "))
}

func orNotSaid(text string) string {
	if text == "" {
		return "(versioning not said)"
	}
	return text
}

// advice is what to change after an error of the server.
func (d *fhirDoctor) advice(err error, doing, kind string) string {
	var login *rest.AuthError
	var status *fhir.StatusError
	switch {
	case errors.As(err, &login) || !errors.As(err, &status):
		return fmt.Sprintf("fhir: %v", err)
	case status.Status == http.StatusUnauthorized:
		return fmt.Sprintf("the server answered 401 to %s %s: %s", doing, kind, d.unknown())
	case status.Status == http.StatusForbidden:
		return fmt.Sprintf("the server answered 403 to %s %s: %s", doing, kind, d.forbidden(doing, []string{kind}))
	case status.Status == http.StatusNotFound:
		return fmt.Sprintf("the server answered 404 to %s %s: correct fhir.baseURL, or turn %s on", doing, kind, kind)
	case status.Status == http.StatusMethodNotAllowed:
		return fmt.Sprintf("the server answered 405 to %s %s: allow it on the server, updates with ids of clients (update as create) among it", doing, kind)
	case status.Status == http.StatusTooManyRequests || status.Status >= http.StatusInternalServerError:
		return fmt.Sprintf("the server answered %d to %s %s: it is down or busy; run doctor again", status.Status, doing, kind)
	}
	return fmt.Sprintf("the server answered %d to %s %s: %s", status.Status, doing, kind, status.Outcome)
}

// azure reports whether the server is Azure's.
func (d *fhirDoctor) azure() bool {
	kind := d.cfg.FHIR.Auth.Kind
	return kind == rest.KindAzureManagedIdentity || kind == rest.KindAzureWorkloadIdentity || strings.Contains(d.cfg.FHIR.BaseURL, ".azurehealthcareapis.com")
}

// unknown says what to change when the server does not know who we are.
func (d *fhirDoctor) unknown() string {
	switch a := d.cfg.FHIR.Auth; {
	case a.Kind == rest.KindNone:
		return fmt.Sprintf("it wants to know who we are: set fhir.auth.kind to one of %s", strings.Join(rest.Kinds[1:], ", "))
	case d.azure():
		return "the token is for another audience or tenant: set fhir.auth.scope to the FHIR service's audience with /.default, and use an identity of its tenant"
	case a.Kind == rest.KindBasic:
		return "correct fhir.auth.user and fhir.auth.password or fhir.auth.passwordFile"
	case a.Kind == rest.KindBearer:
		return "the token has ended or is another server's: renew the one in fhir.auth.tokenFile"
	}
	return "the token is not for this server: correct fhir.auth.scope, fhir.auth.audience or fhir.auth.resource, or the issuer that the server trusts"
}

// forbidden says which right is missing.
func (d *fhirDoctor) forbidden(doing string, kinds []string) string {
	switch a := d.cfg.FHIR.Auth; {
	case d.azure():
		return `give this identity the role "FHIR Data Contributor" on the FHIR service ("FHIR Data Writer" cannot delete); it counts after some minutes`
	case a.Kind == rest.KindOAuth2 || a.Kind == rest.KindSMART:
		return fmt.Sprintf("fhir.auth.scope is %q: add system/%s.cruds (SMART 1: system/%s.*), and have it granted to fhir.auth.clientID",
			a.Scope, strings.Join(kinds, ".cruds system/"), strings.Join(kinds, ".* system/"))
	case a.Kind == rest.KindNone:
		return "set fhir.auth.kind to how this server knows its clients, or let everybody in"
	}
	return fmt.Sprintf("give this account the right to %s %s", doing, strings.Join(kinds, ", "))
}

package schemas

// The ten topics. There is no other: the river fits one Event Hubs Standard
// namespace.
const (
	TopicDeviceData   = "devicedata"
	TopicMeasurements = "measurements"
	TopicIdentities   = "identities"
	TopicObserveTable = "observe-table"
	TopicWindows      = "windows"
	TopicAssessTable  = "assess-table"
	TopicScores       = "scores"
	TopicResources    = "resources"
	TopicResourcesHot = "resources-hot"
	TopicDeadLetters  = "dead-letters"
)

// Cleanup is a topic's cleanup policy.
type Cleanup string

// The cleanup policies.
const (
	CleanupDelete  Cleanup = "delete"
	CleanupCompact Cleanup = "compact"
)

// Topic is everything an operator must know of a topic.
type Topic struct {
	Name    string
	Key     string // what the record key is
	Record  string // name of the Avro record, or what else the value is
	Cleanup Cleanup
	About   string // one sentence
}

// Topics is the plan: all topics, upstream first. docs/streams.md, `topics
// plan` and the embedded broker are made from it.
var Topics = []Topic{
	{TopicDeviceData, "any", "device message, JSON", CleanupDelete, "What devices send, as they sent it; the source may be any existing hub."},
	{TopicMeasurements, "device id", "Measurement", CleanupDelete, "One record for each match of a device template."},
	{TopicIdentities, "device id", "Identity", CleanupCompact, "What the FHIR server knows of each device: Device, Patients, Encounters, since when."},
	{TopicObserveTable, "device id", "row of Observe", CleanupCompact, "One row a device: clock, open panes and segments, identity, outputs it owes."},
	{TopicWindows, "patient id", "Window", CleanupDelete, "Panes of each series, and the clock of their device."},
	{TopicAssessTable, "patient id", "row of Assess", CleanupCompact, "One row a patient: panes, clocks, episodes, outputs it owes."},
	{TopicScores, "patient id", "Score", CleanupDelete, "What each model says of each window, and every Flag that changed."},
	{TopicResources, "patient id", "Resource", CleanupDelete, "Observation segments for the FHIR server."},
	{TopicResourcesHot, "patient id", "Resource", CleanupDelete, "RiskAssessment, Flag and Provenance for the FHIR server: never behind bulk."},
	{TopicDeadLetters, "that of the source record", "DeadLetter", CleanupDelete, "What no stage could use, byte for byte, with what to do."},
}

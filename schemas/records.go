package schemas

// RunLive is the lineage run of everything that is not a replay.
const RunLive = "live"

// Lineage says from which bytes a record was made: the walk back from any
// number to the message.
type Lineage struct {
	Run        string // RunLive, or the name of a replay
	Generation string // generation of the source topic: cluster and topic id (G6)
	Partition  int32  // of devicedata
	Offset     int64  // of devicedata
	Index      int32  // of the measurement within the message
	Mapping    string // content hash of the device mapping that was in force
}

// Position orders values of one source: by partition, offset, index.
type Position struct {
	Partition int32
	Offset    int64
	Index     int32
}

// Position returns where in the source l points.
func (l Lineage) Position() Position { return Position{l.Partition, l.Offset, l.Index} }

// Compare returns -1, 0 or +1 as p comes before, at or after q.
func (p Position) Compare(q Position) int {
	switch {
	case p.Partition != q.Partition:
		return sign(p.Partition < q.Partition)
	case p.Offset != q.Offset:
		return sign(p.Offset < q.Offset)
	case p.Index != q.Index:
		return sign(p.Index < q.Index)
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// Order places a record among all that one table row has emitted (G2): by the
// row's version, then by the place among the outputs of that version.
type Order struct {
	Version int64 // of the row that emitted the record; 0 = not made from a row
	Index   int32 // among the outputs of that version
}

// Above reports whether o comes after p.
func (o Order) Above(p Order) bool {
	return o.Version > p.Version || o.Version == p.Version && o.Index > p.Index
}

// NamedText is one value of a measurement: its name and its text as normalized.
type NamedText struct{ Name, Text string }

// Measurement is one match of one device template in one message. Topic
// measurements, key device id.
//
// The optional ids are empty when the message gave none.
type Measurement struct {
	Device      string
	Type        string
	Patient     string // as the message names it, not a FHIR id
	Encounter   string // as the message names it, not a FHIR id
	Correlation string
	Occurrence  Ticks // when the device says it happened
	Ingestion   Ticks // when the source broker took the message
	Values      []NamedText
	Lineage     Lineage
}

// PatientFacts is what scoring needs to know of a patient. What is not known
// stays empty; nothing is assumed.
type PatientFacts struct {
	BirthDate string   // FHIR date, as precise as it is known
	Gender    string   // FHIR administrative-gender
	Codes     []string // names of the configured facts that hold, sorted
}

// NamedID ties an id as messages name it to a FHIR logical id.
type NamedID struct{ Name, ID string }

// Assignment says to whom a device belonged in [From, To) of event time.
type Assignment struct {
	From      Ticks  // 0 = since ever
	To        Ticks  // MaxTicks = still
	Patient   string // FHIR logical id
	Encounter string // FHIR logical id, empty when none
	// Name is the patient id by which messages name this patient (mode create);
	// such messages belong to him by name, whatever the interval says.
	Name             string
	IdentifierSystem string // of the Patient's first identifier
	IdentifierValue  string
	Facts            PatientFacts
	CheckedAt        Ticks // when the server last confirmed it
}

// Want is a name that messages of a device use and that the server does not
// know. A later owner of the device asks for it again (G14).
type Want struct {
	Name      string
	Encounter bool  // else a patient
	At        Ticks // occurrence of the message
}

// Identity is what the FHIR server knows of a device. Topic identities
// (compacted), key device id.
type Identity struct {
	Device      string // device id as messages name it
	Resource    string // FHIR logical id of the Device, empty while unknown
	Identifiers int32  // how many identifiers that Device has
	Assignments []Assignment
	Encounters  []NamedID // encounters that messages of this device have named
	// Unknown tells why the server could not resolve the device; empty when it
	// could. Only such an answer sends parked values to dead letters (G14).
	Unknown   string
	GiveUp    bool  // re-checks have ended: parked values become dead letters
	CheckedAt Ticks // wall clock of Identify
	Lineage   Lineage
	Wants     []Want // names without an answer, in the order of the messages
}

// WindowKind says what a Window record tells the patient.
type WindowKind int32

// The kinds of Window records. All but WindowPane carry no pane: they move the
// device's clock and say what became of the device (G5).
const (
	WindowPane     WindowKind = iota // a pane, new or revised
	WindowAssigned                   // the device now belongs to the patient
	WindowPassed                     // the clock passed a pane end without a pane
	WindowIdle                       // the device has fallen silent (G9)
	WindowAwake                      // the device speaks again
	WindowLeft                       // the clock passed the end of the assignment and grace
)

// Trigger says why a pane or score was emitted.
type Trigger int32

// The triggers.
const (
	TriggerValue     Trigger = iota // a value arrived and the model asked for it
	TriggerWatermark                // the clock passed the end
	TriggerLate                     // a value arrived inside grace, after the end
	TriggerIdle                     // the device was silent (G9)
	TriggerEnd                      // the run ended (drained)
	TriggerSize                     // the row was full (G8)
)

// PanePoint is one value of a pane.
type PanePoint struct {
	Time Ticks
	Text string
}

// MaxPanePoints is how many points a Window carries at most; beyond it the
// aggregate and its first and last point stand alone.
const MaxPanePoints = 64

// Window is one tumbling pane of one series, and the clock of its device.
// Topic windows, key patient id (FHIR logical id).
type Window struct {
	Kind      WindowKind
	Patient   string // FHIR logical id
	Encounter string // FHIR logical id, empty when none
	Facts     PatientFacts
	Device    string // device id as messages name it
	Resource  string // FHIR logical id of the Device
	Clock     Ticks  // the device's: its highest occurrence

	Type, Name  string // series; empty without a pane
	Start, End  Ticks
	N           int64  // plausible values
	Implausible int64  // values outside the signal's plausible range
	Sum         string // exact decimal sum of the plausible values that are numbers
	Min, Max    string // texts of the extreme plausible values that are numbers
	// First and Last are the earliest and latest plausible values, with the
	// identifiers (value part) of the Observations that hold them.
	First, Last                       PanePoint
	FirstObservation, LastObservation string
	Points                            []PanePoint // all plausible values when at most MaxPanePoints

	Revision int32 // 1 for the first emission of a pane
	Trigger  Trigger
	Final    bool // end has passed; still revised by late values inside grace
	Order    Order
	Lineage  Lineage // of the value that made this record be emitted
}

// ScoreKind says what a Score record holds.
type ScoreKind int32

// The kinds of Score records.
const (
	ScoreRule    ScoreKind = iota // computed in process
	ScorePending                  // features that wait for a remote model
	ScoreAnswer                   // the answer of a remote model
	ScoreFlags                    // no window: only Flags changed (technical ones)
)

// NamedScore is the part of a score that one input made.
type NamedScore struct {
	Name  string
	Score float64
}

// ScoreInput is one value that a score used.
type ScoreInput struct {
	Name        string // of the model's input
	Text        string // as the chart reads it, e.g. "18", "A", "air"
	Unit        string // UCUM code, empty when none
	Time        Ticks  // occurrence; 0 for a configured stand-in
	Observation string // identifier value of the Observation, empty for a stand-in
}

// FlagKind tells alarms about patients from alarms about equipment.
type FlagKind int32

// The kinds of Flags.
const (
	FlagClinical FlagKind = iota
	FlagTechnical
)

// FlagState is the state of an episode.
type FlagState int32

// The states. A withdrawn episode never happened: late values moved it.
const (
	FlagOpen FlagState = iota
	FlagClosed
	FlagWithdrawn
)

// Flag is the whole state of one episode (G16).
type Flag struct {
	ID       string // of the Flag resource
	Rule     string // model id, or the technical rule
	Device   string // technical rules: which device
	Kind     FlagKind
	State    FlagState
	Opened   Ticks // end of the window that opened it
	Closed   Ticks // end of the window that closed it; 0 while open
	MaxScore float64
}

// Score is what one model says of one window of one patient. Topic scores, key
// patient id.
type Score struct {
	Kind         ScoreKind
	Patient      string
	Encounter    string
	Model        string
	ModelVersion string
	Start, End   Ticks // of the window; 0 for ScoreFlags
	Revision     int32 // 1 for the first emission of the window
	Trigger      Trigger
	Final        bool

	Value      float64 // the score, when Complete
	Min, Max   float64 // bounds; both Value when Complete
	Risk       string  // low, low-medium, medium, high; empty when the bounds disagree
	Complete   bool
	SubScores  []NamedScore
	Inputs     []ScoreInput
	Missing    []string // names of the inputs that are missing, in the model's order
	Assessment string   // id of the RiskAssessment, empty for ScoreFlags

	Flags     []Flag // every episode that changed with this record
	OpenFlags int32  // how many episodes of the patient are open afterwards
	Features  string // hash of the features (Predict)
	Order     Order
	Lineage   Lineage
}

// ResourceKind says what Deliver does with a Resource record.
type ResourceKind int32

// The kinds of Resource records.
const (
	ResourceSegment ResourceKind = iota // values of an Observation segment: create or merge
	ResourceRetract                     // values that must leave a segment (G4)
	ResourceWhole                       // finished resources, written in one transaction
)

// SegmentValue is one value of an Observation segment.
type SegmentValue struct {
	Name, Text string
	Time       Ticks
	Position   Position // of equal times the higher one counts
}

// WholeResource is one resource of a transaction, ready to be written.
type WholeResource struct {
	Type, ID string
	JSON     string
}

// Resource is work for Deliver. Topics resources and resources-hot, key
// patient id.
type Resource struct {
	Kind      ResourceKind
	Patient   string // FHIR logical id
	Encounter string // FHIR logical id, empty when none
	Device    string // FHIR logical id

	Type    string // measurement type: chooses the FHIR mapping
	Segment string // period text or correlation id, as in Observation.identifier
	Start   Ticks
	End     Ticks // inclusive
	Values  []SegmentValue
	First   bool // nothing of this segment can be on the server yet

	// Whole resources of one transaction, in the order in which they are written.
	Whole []WholeResource

	Order   Order
	Lineage Lineage
}

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// MaxDeadLetterBytes is how much of a message a dead letter carries. Of a
// longer one it keeps the hash; its position leads to the bytes.
const MaxDeadLetterBytes = 700_000

// DeadLetter is a record that a stage could not use. Topic dead-letters, key
// that of the source record.
type DeadLetter struct {
	Stage     string
	Reason    string // one of the Reason constants
	Detail    string // what is wrong, for a person
	Action    string // what to do
	Topic     string // where the bytes came from
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte // the original bytes; empty when longer than MaxDeadLetterBytes
	SHA256    string // hex, of the original bytes when Value does not hold them
	Headers   []Header
	Timestamp Ticks // of the source record
	Lineage   Lineage
}

// Reasons of dead letters: stable words, for counting and for retry.
const (
	ReasonMessage    = "message"    // the message is not what the contract says
	ReasonTemplate   = "template"   // a template matched and failed
	ReasonRecord     = "record"     // an internal record could not be read
	ReasonClock      = "clock"      // the device's clock is ahead of the broker's
	ReasonLate       = "late"       // later than grace; still an Observation
	ReasonUnknown    = "unknown"    // the device or patient is not known
	ReasonParking    = "parking"    // too many values wait for an identity
	ReasonSize       = "size"       // a record or row over the limit
	ReasonMapping    = "mapping"    // the FHIR mapping cannot use the values
	ReasonServer     = "server"     // the FHIR server refused the content
	ReasonReassigned = "reassigned" // a handover learnt too late (G4)
	ReasonPredict    = "predict"    // a remote model did not answer
)

package schemas

// The symbols of the enums as the schemas write them, by value.
var (
	windowKinds   = [...]string{"pane", "assigned", "passed", "idle", "awake", "left"}
	triggers      = [...]string{"value", "watermark", "late", "idle", "end", "size"}
	scoreKinds    = [...]string{"rule", "pending", "answer", "flags"}
	flagKinds     = [...]string{"clinical", "technical"}
	flagStates    = [...]string{"open", "closed", "withdrawn"}
	resourceKinds = [...]string{"segment", "retract", "whole"}
)

func symbol(symbols []string, i int32) string {
	if i < 0 || int(i) >= len(symbols) {
		return "unknown"
	}
	return symbols[i]
}

// String returns the kind as the schema writes it.
func (k WindowKind) String() string { return symbol(windowKinds[:], int32(k)) }

// String returns the trigger as the schema writes it.
func (t Trigger) String() string { return symbol(triggers[:], int32(t)) }

// String returns the kind as the schema writes it.
func (k ScoreKind) String() string { return symbol(scoreKinds[:], int32(k)) }

// String returns the kind as the schema writes it.
func (k FlagKind) String() string { return symbol(flagKinds[:], int32(k)) }

// String returns the state as the schema writes it.
func (s FlagState) String() string { return symbol(flagStates[:], int32(s)) }

// String returns the kind as the schema writes it.
func (k ResourceKind) String() string { return symbol(resourceKinds[:], int32(k)) }

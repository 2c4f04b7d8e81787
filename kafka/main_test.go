package kafka

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind. The one that is let
// pass is Goka's: a visit that a rebalance aborts waits for ever for the rows it
// has dropped.
func TestMain(m *testing.M) {
	// These tests mostly wait: for commits, heartbeats, rebalances. More of them
	// at once than there are cores costs nothing.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/lovoo/goka.(*PartitionProcessor).VisitValues.func4"))
}

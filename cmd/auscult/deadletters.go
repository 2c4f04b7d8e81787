package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"auscult/kafka"
	"auscult/processors"
	"auscult/schemas"
	"auscult/topology"
)

// letters is what the flags of dead-letters say.
type letters struct {
	config, data  string
	stage, reason string
	all           bool
}

func deadLettersCommand() *cobra.Command {
	var l letters
	list := &cobra.Command{
		Use:   "list",
		Short: "List the dead letters: position, stage, reason, where the bytes came from",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return l.list(cmd.Context(), cmd.OutOrStdout()) },
	}
	show := &cobra.Command{
		Use:   "show PARTITION:OFFSET",
		Short: "Show one dead letter whole, with the original bytes",
		Args:  onePosition,
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.show(cmd.Context(), cmd.OutOrStdout(), args[0])
		},
	}
	retry := &cobra.Command{
		Use:   "retry [PARTITION:OFFSET...]",
		Short: "Send the original bytes again: those named, those that --stage and --reason choose, or --all",
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.retry(cmd.Context(), cmd.OutOrStdout(), args)
		},
	}
	for _, c := range []*cobra.Command{list, show, retry} {
		configFlag(c, &l.config)
		c.Flags().StringVar(&l.data, "data", "", "data folder of an embedded broker that is not running")
	}
	for _, c := range []*cobra.Command{list, retry} {
		c.Flags().StringVar(&l.stage, "stage", "", "only those of this stage")
		c.Flags().StringVar(&l.reason, "reason", "", "only those with this reason")
	}
	retry.Flags().BoolVar(&l.all, "all", false, "every dead letter that the topic holds")
	return group("dead-letters", "List, show or retry what no stage could use", list, show, retry)
}

// each visits the dead letters that the flags choose, in the order of their
// positions; only those of spans when it is not nil.
func (l *letters) each(ctx context.Context, river *kafka.Conn, spans map[int32]kafka.Span, visit func(schemas.Raw, *schemas.DeadLetter) error) error {
	if spans == nil {
		var err error
		if spans, err = river.Ends(ctx, schemas.TopicDeadLetters); err != nil {
			return err
		}
	}
	return river.ReadSpans(ctx, schemas.TopicDeadLetters, spans, func(r schemas.Raw) error {
		d, err := schemas.DeadLetters.Decode(r.Value)
		if err != nil {
			return fmt.Errorf("reading the dead letter %d:%d: %w", r.Partition, r.Offset, err)
		}
		if l.stage != "" && d.Stage != l.stage || l.reason != "" && d.Reason != l.reason {
			return nil
		}
		return visit(r, d)
	})
}

func (l *letters) list(ctx context.Context, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "position\tstage\treason\tfrom\tdetail")
	err := withBrokers(ctx, l.config, l.data, func(river, _ *kafka.Conn) error {
		return l.each(ctx, river, nil, func(r schemas.Raw, d *schemas.DeadLetter) error {
			_, err := fmt.Fprintf(t, "%d:%d\t%s\t%s\t%s/%d:%d\t%s\n", r.Partition, r.Offset, d.Stage, d.Reason, d.Topic, d.Partition, d.Offset, d.Detail)
			return err
		})
	})
	if err != nil {
		return err
	}
	return t.Flush()
}

func onePosition(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one: PARTITION:OFFSET, such as 3:17")
	}
	return nil
}

// position is where a dead letter stands on its topic.
type position struct {
	partition int32
	offset    int64
}

func (p position) String() string { return fmt.Sprintf("%d:%d", p.partition, p.offset) }

func (p position) span() map[int32]kafka.Span {
	return map[int32]kafka.Span{p.partition: {From: p.offset, To: p.offset + 1}}
}

// parsePosition reads PARTITION:OFFSET.
func parsePosition(text string) (position, error) {
	p, o, ok := strings.Cut(text, ":")
	partition, err1 := strconv.ParseInt(p, 10, 32)
	offset, err2 := strconv.ParseInt(o, 10, 64)
	if !ok || err1 != nil || err2 != nil || partition < 0 || offset < 0 {
		return position{}, fmt.Errorf("%q is not PARTITION:OFFSET, such as 3:17", text)
	}
	return position{int32(partition), offset}, nil
}

func (l *letters) show(ctx context.Context, w io.Writer, text string) error {
	at, err := parsePosition(text)
	if err != nil {
		return err
	}
	found := false
	err = withBrokers(ctx, l.config, l.data, func(river, _ *kafka.Conn) error {
		return l.each(ctx, river, at.span(), func(_ schemas.Raw, d *schemas.DeadLetter) error {
			found = true
			return printLetter(w, d)
		})
	})
	if err == nil && !found {
		return fmt.Errorf("there is no dead letter at %s", at)
	}
	return err
}

// resend sends again what the command names: those of wanted, or where that is
// empty all that the flags choose. It calls sent after each.
func (l *letters) resend(ctx context.Context, river, source *kafka.Conn, wanted []position, sent func(position)) error {
	if source == nil {
		source = river
	}
	again := resending{river: river, source: source, senders: map[*kafka.Conn]*kafka.Sender{}}
	one := func(r schemas.Raw, d *schemas.DeadLetter) error {
		at := position{r.Partition, r.Offset}
		if err := again.resend(ctx, d); err != nil {
			return fmt.Errorf("sending dead letter %s again: %w", at, err)
		}
		sent(at)
		return nil
	}
	var err error
	if len(wanted) == 0 {
		err = l.each(ctx, river, nil, one)
	}
	for _, at := range wanted {
		if err == nil {
			err = l.each(ctx, river, at.span(), one)
		}
	}
	return errors.Join(err, again.close(ctx))
}

// wanted reads the positions that retry names. To name nothing is no way to say
// everything: a variable that is empty would send a week of letters again.
func (l *letters) wanted(args []string) ([]position, error) {
	chosen := l.stage != "" || l.reason != ""
	switch {
	case l.all && (chosen || len(args) > 0):
		return nil, errors.New("--all is every dead letter: leave out the positions, --stage and --reason, or --all")
	case !l.all && !chosen && len(args) == 0:
		return nil, errors.New("name positions, or choose with --stage or --reason, or say --all")
	}
	var all []position
	for _, a := range args {
		at, err := parsePosition(a)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(all, at) {
			all = append(all, at)
		}
	}
	return all, nil
}

func (l *letters) retry(ctx context.Context, w io.Writer, args []string) error {
	wanted, err := l.wanted(args)
	if err != nil {
		return err
	}
	n, missing := 0, slices.Clone(wanted)
	err = withBrokers(ctx, l.config, l.data, func(river, source *kafka.Conn) error {
		return l.resend(ctx, river, source, wanted, func(at position) {
			n++
			missing = slices.DeleteFunc(missing, func(p position) bool { return p == at })
		})
	})
	fmt.Fprintf(w, "sent %d again\n", n)
	if err == nil && len(missing) > 0 {
		names := make([]string, len(missing))
		for i, p := range missing {
			names[i] = p.String()
		}
		return fmt.Errorf("there is no dead letter at %s: see `auscult dead-letters list`", strings.Join(names, ", "))
	}
	return err
}

// resending sends what dead letters were made of once more.
type resending struct {
	river, source *kafka.Conn
	senders       map[*kafka.Conn]*kafka.Sender
}

// resend sends one. What a keyed stage has refused goes back to the source as
// the message it came from: a row drops a measurement whose position it has
// passed, and a new message has a new one.
func (s *resending) resend(ctx context.Context, d *schemas.DeadLetter) error {
	topic, conn, value, headers, key := d.Topic, s.river, d.Value, d.Headers, d.Key
	partition, offset := d.Partition, d.Offset
	if d.Stage == topology.Observe || topic == schemas.TopicDeviceData {
		if topic != schemas.TopicDeviceData {
			topic, partition, offset, value = schemas.TopicDeviceData, d.Lineage.Partition, d.Lineage.Offset, nil
		}
		conn = s.source
	}
	if value == nil {
		at := map[int32]kafka.Span{partition: {From: offset, To: offset + 1}}
		err := conn.ReadSpans(ctx, topic, at, func(r schemas.Raw) error {
			value, headers, key = r.Value, r.Headers, r.Key
			return nil
		})
		if err != nil {
			return err
		}
		if value == nil {
			return fmt.Errorf("the bytes at %s/%d:%d are no longer on the topic: replay them from the raw zone", topic, partition, offset)
		}
	}
	if topic != schemas.TopicDeviceData { // there, headers are the device's
		headers = append(slices.Clone(headers), schemas.Header{Key: processors.RetryHeader})
	}
	out, err := s.sender(conn)
	if err != nil {
		return err
	}
	return out.Send(ctx, schemas.Out{Topic: topic, Key: string(key), Value: value, Headers: headers})
}

func (s *resending) sender(conn *kafka.Conn) (*kafka.Sender, error) {
	if out := s.senders[conn]; out != nil {
		return out, nil
	}
	out, err := conn.NewSender()
	if err == nil {
		s.senders[conn] = out
	}
	return out, err
}

// close waits until everything has arrived.
func (s *resending) close(ctx context.Context) error {
	var all []error
	for _, out := range s.senders {
		all = append(all, out.Close(ctx))
	}
	return errors.Join(all...)
}

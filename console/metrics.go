package console

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// metrics writes what Prometheus reads. No number is a patient's.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	all := append(s.stageCounters(), s.ownCounters()...)
	if s.cfg.Counters != nil {
		all = append(all, s.cfg.Counters()...)
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprintf(w, "%s", exposition(all))
}

func (s *Server) stageCounters() []Counter {
	var all []Counter
	now := s.cfg.now()
	for _, st := range s.cfg.stages() {
		add := func(name, help string, gauge bool, v float64) {
			all = append(all, Counter{Name: "auscult_stage_" + name, Help: help, Gauge: gauge, Value: v, Labels: []Label{{"stage", st.Name}}})
		}
		add("partitions", "Partitions that this process has.", true, float64(st.Partitions))
		add("lag", "Offsets that are not finished.", true, float64(st.Lag))
		add("records_total", "Records finished since the process began.", false, float64(st.Records))
		if !st.Message.IsZero() {
			add("last_message_age_seconds", "Age of the latest finished record.", true, now.Sub(st.Message).Seconds())
		}
		waiting := 0.0
		if !st.WaitingSince.IsZero() {
			waiting = now.Sub(st.WaitingSince).Seconds()
		}
		add("waiting_seconds", "How long the stage has been waiting for the other side; 0 when it goes on.", true, waiting)
	}
	return all
}

func (s *Server) ownCounters() []Counter {
	s.hub.mu.Lock()
	st, clients, dropped := s.hub.state, len(s.hub.clients), s.hub.dropped
	s.hub.mu.Unlock()
	var all []Counter
	for _, c := range st.letters {
		all = append(all, Counter{Name: "auscult_dead_letters", Help: "Dead letters in the warehouse, counted up to a limit.", Gauge: true,
			Labels: []Label{{"stage", c.Stage}, {"reason", c.Reason}}, Value: float64(c.N)})
	}
	for i, kind := range []string{"clinical", "technical"} {
		all = append(all, Counter{Name: "auscult_open_flags", Help: "Open Flags.", Gauge: true, Labels: []Label{{"kind", kind}}, Value: float64(st.flags[i])})
	}
	one := func(name, help string, gauge bool, v float64) Counter {
		return Counter{Name: "auscult_" + name, Help: help, Gauge: gauge, Value: v}
	}
	all = append(all,
		one("patients", "Patients that the warehouse knows.", true, float64(st.shown.Patients)),
		one("warehouse_records_total", "Records that the warehouse has loaded.", false, float64(st.shown.Records)),
		one("console_clients", "Browsers that listen.", true, float64(clients)),
		one("console_dropped_total", "Browsers let go because they did not take their messages.", false, float64(dropped)),
		one("console_poll_seconds", "How long the last look at the warehouse took.", true, st.pollTook.Seconds()))
	if st.shown.Latest != 0 {
		all = append(all, one("latest_window_timestamp_seconds", "End of the latest scored window, event time.", true, unix(st.shown.Latest)))
	}
	return all
}

// exposition writes counters in the text format, each name once with its help.
func exposition(all []Counter) []byte {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Counter) int { return strings.Compare(a.Name, b.Name) })
	var b bytes.Buffer
	for i, c := range all {
		if i == 0 || all[i-1].Name != c.Name {
			kind := "counter"
			if c.Gauge {
				kind = "gauge"
			}
			fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", c.Name, helpEscaper.Replace(c.Help), c.Name, kind)
		}
		b.WriteString(c.Name)
		for j, l := range c.Labels {
			b.WriteByte("{,"[min(j, 1)])
			fmt.Fprintf(&b, `%s="%s"`, l.Name, labelEscaper.Replace(l.Value))
		}
		if len(c.Labels) > 0 {
			b.WriteByte('}')
		}
		b.WriteString(" " + strconv.FormatFloat(c.Value, 'g', -1, 64) + "\n")
	}
	return b.Bytes()
}

var (
	helpEscaper  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscaper = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

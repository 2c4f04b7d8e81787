package schemas

import "fmt"

// Append and Read of the records. Append writes Avro's single-object encoding
// behind dst. Read takes such bytes without copying: texts alias b and are valid
// while b is, lists of the receiver are used again. After an error the receiver
// holds nothing of use. Both allocate nothing once the lists have their size;
// Stream.Decode makes a record that owns its memory.

// finish is the end of each Read.
func (s *schema) finish(r reader) error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	if r.err != nil {
		return fmt.Errorf("reading %s: %w", s.record, r.err)
	}
	return nil
}

// Append appends m as Avro.
func (m *Measurement) Append(dst []byte) []byte {
	dst = append(dst, measurementSchema.header[:]...)
	dst = appendString(dst, m.Device)
	dst = appendString(dst, m.Type)
	dst = appendString(dst, m.Patient)
	dst = appendString(dst, m.Encounter)
	dst = appendString(dst, m.Correlation)
	dst = appendLong(dst, int64(m.Occurrence))
	dst = appendLong(dst, int64(m.Ingestion))
	dst = appendCount(dst, len(m.Values))
	for i := range m.Values {
		dst = appendString(dst, m.Values[i].Name)
		dst = appendString(dst, m.Values[i].Text)
	}
	return m.Lineage.append(appendEnd(dst))
}

// Read reads m from b, which it aliases.
func (m *Measurement) Read(b []byte) error {
	body, err := measurementSchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	m.Device = r.string()
	m.Type = r.string()
	m.Patient = r.string()
	m.Encounter = r.string()
	m.Correlation = r.string()
	m.Occurrence = r.ticks()
	m.Ingestion = r.ticks()
	m.Values = m.Values[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			m.Values = append(m.Values, NamedText{r.string(), r.string()})
		}
	}
	m.Lineage.read(&r)
	return measurementSchema.finish(r)
}

// Append appends i as Avro.
func (i *Identity) Append(dst []byte) []byte {
	dst = append(dst, identitySchema.header[:]...)
	dst = appendString(dst, i.Device)
	dst = appendString(dst, i.Resource)
	dst = appendLong(dst, int64(i.Identifiers))
	dst = appendCount(dst, len(i.Assignments))
	for k := range i.Assignments {
		dst = i.Assignments[k].append(dst)
	}
	dst = appendEnd(dst)
	dst = appendCount(dst, len(i.Encounters))
	for k := range i.Encounters {
		dst = appendString(dst, i.Encounters[k].Name)
		dst = appendString(dst, i.Encounters[k].ID)
	}
	dst = appendEnd(dst)
	dst = appendString(dst, i.Unknown)
	dst = appendBool(dst, i.GiveUp)
	dst = appendLong(dst, int64(i.CheckedAt))
	dst = i.Lineage.append(dst)
	dst = appendCount(dst, len(i.Wants))
	for k := range i.Wants {
		dst = i.Wants[k].append(dst)
	}
	return appendEnd(dst)
}

// Read reads i from b, which it aliases.
func (i *Identity) Read(b []byte) error {
	body, err := identitySchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	i.Device = r.string()
	i.Resource = r.string()
	i.Identifiers = r.int()
	i.Assignments = i.Assignments[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			i.Assignments = more(i.Assignments)
			i.Assignments[len(i.Assignments)-1].read(&r)
		}
	}
	i.Encounters = i.Encounters[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			i.Encounters = append(i.Encounters, NamedID{r.string(), r.string()})
		}
	}
	i.Unknown = r.string()
	i.GiveUp = r.bool()
	i.CheckedAt = r.ticks()
	i.Lineage.read(&r)
	i.Wants = i.Wants[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			i.Wants = more(i.Wants)
			i.Wants[len(i.Wants)-1].read(&r)
		}
	}
	return identitySchema.finish(r)
}

// Append appends w as Avro.
func (w *Window) Append(dst []byte) []byte {
	dst = append(dst, windowSchema.header[:]...)
	dst = appendLong(dst, int64(w.Kind))
	dst = appendString(dst, w.Patient)
	dst = appendString(dst, w.Encounter)
	dst = w.Facts.append(dst)
	dst = appendString(dst, w.Device)
	dst = appendString(dst, w.Resource)
	dst = appendLong(dst, int64(w.Clock))
	dst = appendString(dst, w.Type)
	dst = appendString(dst, w.Name)
	dst = appendLong(dst, int64(w.Start))
	dst = appendLong(dst, int64(w.End))
	dst = appendLong(dst, w.N)
	dst = appendLong(dst, w.Implausible)
	dst = appendString(dst, w.Sum)
	dst = appendString(dst, w.Min)
	dst = appendString(dst, w.Max)
	dst = w.First.append(dst)
	dst = w.Last.append(dst)
	dst = appendString(dst, w.FirstObservation)
	dst = appendString(dst, w.LastObservation)
	dst = appendCount(dst, len(w.Points))
	for i := range w.Points {
		dst = w.Points[i].append(dst)
	}
	dst = appendEnd(dst)
	dst = appendLong(dst, int64(w.Revision))
	dst = appendLong(dst, int64(w.Trigger))
	dst = appendBool(dst, w.Final)
	dst = w.Order.append(dst)
	return w.Lineage.append(dst)
}

// Read reads w from b, which it aliases.
func (w *Window) Read(b []byte) error {
	body, err := windowSchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	w.Kind = WindowKind(r.enum(len(windowKinds)))
	w.Patient = r.string()
	w.Encounter = r.string()
	w.Facts.read(&r)
	w.Device = r.string()
	w.Resource = r.string()
	w.Clock = r.ticks()
	w.Type = r.string()
	w.Name = r.string()
	w.Start = r.ticks()
	w.End = r.ticks()
	w.N = r.long()
	w.Implausible = r.long()
	w.Sum = r.string()
	w.Min = r.string()
	w.Max = r.string()
	w.First.read(&r)
	w.Last.read(&r)
	w.FirstObservation = r.string()
	w.LastObservation = r.string()
	w.Points = w.Points[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			w.Points = append(w.Points, PanePoint{r.ticks(), r.string()})
		}
	}
	w.Revision = r.int()
	w.Trigger = Trigger(r.enum(len(triggers)))
	w.Final = r.bool()
	w.Order.read(&r)
	w.Lineage.read(&r)
	return windowSchema.finish(r)
}

// Append appends s as Avro.
func (s *Score) Append(dst []byte) []byte {
	dst = append(dst, scoreSchema.header[:]...)
	dst = appendLong(dst, int64(s.Kind))
	dst = appendString(dst, s.Patient)
	dst = appendString(dst, s.Encounter)
	dst = appendString(dst, s.Model)
	dst = appendString(dst, s.ModelVersion)
	dst = appendLong(dst, int64(s.Start))
	dst = appendLong(dst, int64(s.End))
	dst = appendLong(dst, int64(s.Revision))
	dst = appendLong(dst, int64(s.Trigger))
	dst = appendBool(dst, s.Final)
	dst = appendDouble(dst, s.Value)
	dst = appendDouble(dst, s.Min)
	dst = appendDouble(dst, s.Max)
	dst = appendString(dst, s.Risk)
	dst = appendBool(dst, s.Complete)
	dst = appendCount(dst, len(s.SubScores))
	for i := range s.SubScores {
		dst = appendString(dst, s.SubScores[i].Name)
		dst = appendDouble(dst, s.SubScores[i].Score)
	}
	dst = appendEnd(dst)
	dst = appendCount(dst, len(s.Inputs))
	for i := range s.Inputs {
		dst = s.Inputs[i].append(dst)
	}
	dst = appendEnd(dst)
	dst = appendStrings(dst, s.Missing)
	dst = appendString(dst, s.Assessment)
	dst = appendCount(dst, len(s.Flags))
	for i := range s.Flags {
		dst = s.Flags[i].append(dst)
	}
	dst = appendEnd(dst)
	dst = appendLong(dst, int64(s.OpenFlags))
	dst = appendString(dst, s.Features)
	dst = s.Order.append(dst)
	return s.Lineage.append(dst)
}

// Read reads s from b, which it aliases.
func (s *Score) Read(b []byte) error {
	body, err := scoreSchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	s.Kind = ScoreKind(r.enum(len(scoreKinds)))
	s.Patient = r.string()
	s.Encounter = r.string()
	s.Model = r.string()
	s.ModelVersion = r.string()
	s.Start = r.ticks()
	s.End = r.ticks()
	s.Revision = r.int()
	s.Trigger = Trigger(r.enum(len(triggers)))
	s.Final = r.bool()
	s.Value = r.double()
	s.Min = r.double()
	s.Max = r.double()
	s.Risk = r.string()
	s.Complete = r.bool()
	s.readParts(&r)
	s.OpenFlags = r.int()
	s.Features = r.string()
	s.Order.read(&r)
	s.Lineage.read(&r)
	return scoreSchema.finish(r)
}

// readParts reads the lists and the assessment id between them.
func (s *Score) readParts(r *reader) {
	s.SubScores = s.SubScores[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			s.SubScores = append(s.SubScores, NamedScore{r.string(), r.double()})
		}
	}
	s.Inputs = s.Inputs[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			s.Inputs = append(s.Inputs, ScoreInput{r.string(), r.string(), r.string(), r.ticks(), r.string()})
		}
	}
	s.Missing = r.strings(s.Missing)
	s.Assessment = r.string()
	s.Flags = s.Flags[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			s.Flags = more(s.Flags)
			s.Flags[len(s.Flags)-1].read(r)
		}
	}
}

// Append appends o as Avro.
func (o *Resource) Append(dst []byte) []byte {
	dst = append(dst, resourceSchema.header[:]...)
	dst = appendLong(dst, int64(o.Kind))
	dst = appendString(dst, o.Patient)
	dst = appendString(dst, o.Encounter)
	dst = appendString(dst, o.Device)
	dst = appendString(dst, o.Type)
	dst = appendString(dst, o.Segment)
	dst = appendLong(dst, int64(o.Start))
	dst = appendLong(dst, int64(o.End))
	dst = appendCount(dst, len(o.Values))
	for i := range o.Values {
		dst = o.Values[i].append(dst)
	}
	dst = appendEnd(dst)
	dst = appendBool(dst, o.First)
	dst = appendCount(dst, len(o.Whole))
	for i := range o.Whole {
		dst = appendString(dst, o.Whole[i].Type)
		dst = appendString(dst, o.Whole[i].ID)
		dst = appendString(dst, o.Whole[i].JSON)
	}
	dst = appendEnd(dst)
	dst = o.Order.append(dst)
	return o.Lineage.append(dst)
}

// Read reads o from b, which it aliases.
func (o *Resource) Read(b []byte) error {
	body, err := resourceSchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	o.Kind = ResourceKind(r.enum(len(resourceKinds)))
	o.Patient = r.string()
	o.Encounter = r.string()
	o.Device = r.string()
	o.Type = r.string()
	o.Segment = r.string()
	o.Start = r.ticks()
	o.End = r.ticks()
	o.Values = o.Values[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			o.Values = more(o.Values)
			o.Values[len(o.Values)-1].read(&r)
		}
	}
	o.First = r.bool()
	o.Whole = o.Whole[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			o.Whole = append(o.Whole, WholeResource{r.string(), r.string(), r.string()})
		}
	}
	o.Order.read(&r)
	o.Lineage.read(&r)
	return resourceSchema.finish(r)
}

// Append appends d as Avro.
func (d *DeadLetter) Append(dst []byte) []byte {
	dst = append(dst, deadLetterSchema.header[:]...)
	dst = appendString(dst, d.Stage)
	dst = appendString(dst, d.Reason)
	dst = appendString(dst, d.Detail)
	dst = appendString(dst, d.Action)
	dst = appendString(dst, d.Topic)
	dst = appendLong(dst, int64(d.Partition))
	dst = appendLong(dst, d.Offset)
	dst = appendNullable(dst, d.Key)
	dst = appendNullable(dst, d.Value)
	dst = appendString(dst, d.SHA256)
	dst = appendCount(dst, len(d.Headers))
	for i := range d.Headers {
		dst = appendString(dst, d.Headers[i].Key)
		dst = appendNullable(dst, d.Headers[i].Value)
	}
	dst = appendEnd(dst)
	dst = appendLong(dst, int64(d.Timestamp))
	return d.Lineage.append(dst)
}

// Read reads d from b, which it aliases.
func (d *DeadLetter) Read(b []byte) error {
	body, err := deadLetterSchema.open(b)
	if err != nil {
		return err
	}
	r := reader{b: body}
	d.Stage = r.string()
	d.Reason = r.string()
	d.Detail = r.string()
	d.Action = r.string()
	d.Topic = r.string()
	d.Partition = r.int()
	d.Offset = r.long()
	d.Key = r.nullable()
	d.Value = r.nullable()
	d.SHA256 = r.string()
	d.Headers = d.Headers[:0]
	for n := r.block(); n > 0; n = r.block() {
		for ; n > 0 && r.err == nil; n-- {
			d.Headers = append(d.Headers, Header{r.string(), r.nullable()})
		}
	}
	d.Timestamp = r.ticks()
	d.Lineage.read(&r)
	return deadLetterSchema.finish(r)
}

func (*Measurement) schema() *schema { return measurementSchema }
func (*Identity) schema() *schema    { return identitySchema }
func (*Window) schema() *schema      { return windowSchema }
func (*Score) schema() *schema       { return scoreSchema }
func (*Resource) schema() *schema    { return resourceSchema }
func (*DeadLetter) schema() *schema  { return deadLetterSchema }

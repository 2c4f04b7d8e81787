package schemas

// The parts that records have in common, or that are too long to stand inside
// them. Their fields follow the order of the schema.

func (l *Lineage) append(dst []byte) []byte {
	dst = appendString(dst, l.Run)
	dst = appendString(dst, l.Generation)
	dst = appendLong(dst, int64(l.Partition))
	dst = appendLong(dst, l.Offset)
	dst = appendLong(dst, int64(l.Index))
	return appendString(dst, l.Mapping)
}

func (l *Lineage) read(r *reader) {
	l.Run = r.string()
	l.Generation = r.string()
	l.Partition = r.int()
	l.Offset = r.long()
	l.Index = r.int()
	l.Mapping = r.string()
}

func (o *Order) append(dst []byte) []byte {
	return appendLong(appendLong(dst, o.Version), int64(o.Index))
}

func (o *Order) read(r *reader) {
	o.Version = r.long()
	o.Index = r.int()
}

func (f *PatientFacts) append(dst []byte) []byte {
	dst = appendString(dst, f.BirthDate)
	dst = appendString(dst, f.Gender)
	return appendStrings(dst, f.Codes)
}

func (f *PatientFacts) read(r *reader) {
	f.BirthDate = r.string()
	f.Gender = r.string()
	f.Codes = r.strings(f.Codes)
}

func (a *Assignment) append(dst []byte) []byte {
	dst = appendLong(dst, int64(a.From))
	dst = appendLong(dst, int64(a.To))
	dst = appendString(dst, a.Patient)
	dst = appendString(dst, a.Encounter)
	dst = appendString(dst, a.Name)
	dst = appendString(dst, a.IdentifierSystem)
	dst = appendString(dst, a.IdentifierValue)
	dst = a.Facts.append(dst)
	return appendLong(dst, int64(a.CheckedAt))
}

func (a *Assignment) read(r *reader) {
	a.From = r.ticks()
	a.To = r.ticks()
	a.Patient = r.string()
	a.Encounter = r.string()
	a.Name = r.string()
	a.IdentifierSystem = r.string()
	a.IdentifierValue = r.string()
	a.Facts.read(r)
	a.CheckedAt = r.ticks()
}

func (w *Want) append(dst []byte) []byte {
	return appendLong(appendBool(appendString(dst, w.Name), w.Encounter), int64(w.At))
}

func (w *Want) read(r *reader) {
	w.Name = r.string()
	w.Encounter = r.bool()
	w.At = r.ticks()
}

func (p *PanePoint) append(dst []byte) []byte {
	return appendString(appendLong(dst, int64(p.Time)), p.Text)
}

func (p *PanePoint) read(r *reader) {
	p.Time = r.ticks()
	p.Text = r.string()
}

func (i *ScoreInput) append(dst []byte) []byte {
	dst = appendString(dst, i.Name)
	dst = appendString(dst, i.Text)
	dst = appendString(dst, i.Unit)
	dst = appendLong(dst, int64(i.Time))
	return appendString(dst, i.Observation)
}

func (f *Flag) append(dst []byte) []byte {
	dst = appendString(dst, f.ID)
	dst = appendString(dst, f.Rule)
	dst = appendString(dst, f.Device)
	dst = appendLong(dst, int64(f.Kind))
	dst = appendLong(dst, int64(f.State))
	dst = appendLong(dst, int64(f.Opened))
	dst = appendLong(dst, int64(f.Closed))
	return appendDouble(dst, f.MaxScore)
}

func (f *Flag) read(r *reader) {
	f.ID = r.string()
	f.Rule = r.string()
	f.Device = r.string()
	f.Kind = FlagKind(r.enum(len(flagKinds)))
	f.State = FlagState(r.enum(len(flagStates)))
	f.Opened = r.ticks()
	f.Closed = r.ticks()
	f.MaxScore = r.double()
}

func (v *SegmentValue) append(dst []byte) []byte {
	dst = appendString(dst, v.Name)
	dst = appendString(dst, v.Text)
	dst = appendLong(dst, int64(v.Time))
	dst = appendLong(dst, int64(v.Position.Partition))
	dst = appendLong(dst, v.Position.Offset)
	return appendLong(dst, int64(v.Position.Index))
}

func (v *SegmentValue) read(r *reader) {
	v.Name = r.string()
	v.Text = r.string()
	v.Time = r.ticks()
	v.Position = Position{r.int(), r.long(), r.int()}
}

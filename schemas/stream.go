package schemas

import (
	"bytes"
	"sync"
)

// HeaderContentType is the header that names the schema of a value.
const HeaderContentType = "content-type"

// Record is a pointer to one of the records of this package.
type Record[T any] interface {
	*T
	Append(dst []byte) []byte
	Read(b []byte) error
	schema() *schema
}

// Stream is a topic of records of one kind: a wrong record on a topic does not
// compile.
type Stream[T any, P Record[T]] struct{ Topic string }

// The streams.
var (
	Measurements = Stream[Measurement, *Measurement]{TopicMeasurements}
	Identities   = Stream[Identity, *Identity]{TopicIdentities}
	Windows      = Stream[Window, *Window]{TopicWindows}
	Scores       = Stream[Score, *Score]{TopicScores}
	Resources    = Stream[Resource, *Resource]{TopicResources}
	ResourcesHot = Stream[Resource, *Resource]{TopicResourcesHot}
	DeadLetters  = Stream[DeadLetter, *DeadLetter]{TopicDeadLetters}
)

// buffers hold records while they are encoded, so that the bytes that leave
// have exactly their size.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Out returns v as a record to be written. Its headers are shared by all
// records of the stream: append to them, never write into them.
func (s Stream[T, P]) Out(key string, v P) Out {
	return Out{Topic: s.Topic, Key: key, Value: s.Encode(v), Headers: s.Headers()}
}

// Encode returns v as the stream carries it, in memory of its own.
func (s Stream[T, P]) Encode(v P) []byte {
	buffer := buffers.Get().(*[]byte)
	*buffer = v.Append((*buffer)[:0])
	value := bytes.Clone(*buffer)
	buffers.Put(buffer)
	return value
}

// Headers returns the headers of each record of the stream.
func (s Stream[T, P]) Headers() []Header {
	headers := P(nil).schema().headers
	return headers[:len(headers):len(headers)]
}

// Decode returns the record in b as a value that owns its memory. Loops that
// use a record and forget it call its Read instead, which copies nothing.
func (s Stream[T, P]) Decode(b []byte) (*T, error) {
	v := new(T)
	if err := P(v).Read(bytes.Clone(b)); err != nil {
		return nil, err
	}
	return v, nil
}

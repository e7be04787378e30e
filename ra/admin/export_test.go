package admin

// Waiters returns how many wait.
func (s *Enrollments) Waiters() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiters)
}

const MaxWaiters = maxWaiters

const MaxFollowers = maxFollowers

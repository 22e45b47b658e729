#!/usr/bin/perl
# Connects stdin and stdout to a port of the cage's localhost, IPv4 or IPv6: connect.pl PORT
#
# Runs as the cage's user, once per connection of `cage forward`. Prints `refused` to stderr if nothing listens, and `end N`
# once the server has sent all of its N bytes. One process per direction, so that neither waits for the other.

use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY IN6ADDR_LOOPBACK pack_sockaddr_in6);
my $port = shift;
my $socket;
for ([PF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)], [PF_INET6, pack_sockaddr_in6($port, IN6ADDR_LOOPBACK)]) {
    last if socket($socket, $_->[0], SOCK_STREAM, 0) && connect($socket, $_->[1]);
    undef $socket;
}
$socket or die "refused\n";
setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
sub pump {
    my ($from, $to) = @_;
    my $all = 0;
    while (my $size = sysread($from, my $data, 65536)) {
        for (my $done = 0; $done < $size;) { $done += syswrite($to, $data, $size - $done, $done) || return $all }
        $all += $size;
    }
    $all;
}
defined(my $child = fork) or die "fork: $!\n";
if (!$child) {
    pump(*STDIN, $socket);
    shutdown($socket, 1);
    exit;
}
print STDERR "end ", pump($socket, *STDOUT), "\n";
waitpid($child, 0);

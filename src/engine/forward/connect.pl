#!/usr/bin/perl
# Connects stdin and stdout to a port of the cage's localhost, by IPv4 or IPv6: connect.pl PORT
#
# Runs as the cage's user, once per connection of `cage forward`. Prints `refused` to stderr if nothing listens, and `end N`
# once the server has sent all of its N bytes. Each direction has a process, so that neither waits for the other.

use strict;
use warnings;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY IN6ADDR_LOOPBACK pack_sockaddr_in6);

my $port = shift;
my $server;
for ([PF_INET, pack_sockaddr_in($port, INADDR_LOOPBACK)], [PF_INET6, pack_sockaddr_in6($port, IN6ADDR_LOOPBACK)]) {
    last if socket($server, $_->[0], SOCK_STREAM, 0) && connect($server, $_->[1]);
    undef $server;
}
$server or die "refused\n";
setsockopt($server, IPPROTO_TCP, TCP_NODELAY, 1);

sub copy {
    my ($from, $to) = @_;
    my $copied = 0;
    while (my $size = sysread($from, my $data, 65536)) {
        for (my $done = 0; $done < $size;) { $done += syswrite($to, $data, $size - $done, $done) || return $copied }
        $copied += $size;
    }
    return $copied;
}

defined(my $child = fork) or die "fork: $!\n";
if (!$child) {
    copy(*STDIN, $server);
    shutdown($server, 1);
    exit;
}
print STDERR "end ", copy($server, *STDOUT), "\n";
waitpid($child, 0);

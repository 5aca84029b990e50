int no_head;
